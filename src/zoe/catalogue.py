"""The catalogue: a folder with one folder for each framework and application.

``<name>/framework.yaml`` is a framework that applications take with ``use: <name>``;
``<name>/zapp.yaml`` is an application that runs as it is. One that is wrong does not hide the
others: its problems are told where it is used or listed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from zoe.model.codec import to_json
from zoe.model.errors import Problem, ZAppInvalid, ZoeError
from zoe.model.limits import MAX_DOCUMENT_BYTES
from zoe.model.rest import ErrorView
from zoe.model.rest_apps import AppDetail, AppView, ParameterView
from zoe.model.zapp_yaml import Outline, read_outline, read_zapp

MAX_ENTRIES = 1000
MAX_README_BYTES = 2**20
"""What is shown of the text beside an application."""


class CatalogueUnusable(ZoeError):
    """The catalogue cannot be read."""


@dataclass(frozen=True, slots=True)
class Application:
    """An application of the catalogue; ``outline`` is None when ``problems`` say why."""

    name: str
    file: Path
    outline: Outline | None
    problems: tuple[Problem, ...] = ()

    @property
    def title(self) -> str:
        """One line for people; its name when it has no title."""
        return (self.outline.title if self.outline else "") or self.name

    @property
    def description(self) -> str:
        """What it does and how to use it."""
        return self.outline.description if self.outline else ""


def packaged_catalogue() -> Path:
    """Return the folder that Zoe brings along: in the package, or in the repository around it."""
    packaged = Path(__file__).parent / "zapps"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "zapps"


def frameworks(folder: Path | None = None) -> Mapping[str, tuple[str, str]]:
    """Return each framework's file name and text by its name, for :func:`read_zapp`.

    ``folder`` is the packaged catalogue by default. It is looked at when a name is asked for, and
    a file in it when it is taken: then CatalogueUnusable when that cannot be read.
    """
    return _Frameworks(folder or packaged_catalogue())


class _Frameworks(Mapping[str, tuple[str, str]]):
    """The frameworks of a folder; most applications use none of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def _files(self) -> Mapping[str, Path]:
        return {file.parent.name: file for file in _files(self._folder, "framework.yaml")}

    def __getitem__(self, name: str) -> tuple[str, str]:
        file = self._files[name]
        return str(file), _text(file)

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def applications(folder: Path | None = None) -> tuple[Application, ...]:
    """Return the applications, by name; CatalogueUnusable as for :func:`frameworks`."""
    return tuple(_application(file) for file in _files(folder or packaged_catalogue(), "zapp.yaml"))


def view(application: Application) -> AppView:
    """Return an application as it is listed."""
    outline = application.outline
    return AppView(
        name=application.name,
        title=application.title,
        description=application.description,
        kind=outline.kind if outline else None,
        parameters=[
            ParameterView.model_validate(to_json(one))
            for one in (outline.parameters if outline else ())
        ],
        errors=[ErrorView.of(problem) for problem in application.problems],
    )


def detail(application: Application) -> AppDetail:
    """Return an application with its files; CatalogueUnusable when they cannot be read."""
    readme = application.file.with_name("README.md")
    return AppDetail(
        **dict(view(application)),
        readme=_beginning(readme, MAX_README_BYTES).decode(errors="replace")
        if readme.is_file()
        else "",
        document=_text(application.file),
    )


def check(folder: Path | None = None) -> tuple[Problem, ...]:
    """Return what is wrong with the frameworks and applications, read with their defaults.

    A framework is read inside an application of its own.
    """
    known = frameworks(folder)
    problems: list[Problem] = []
    for name, (file, _) in known.items():
        text = f"zoe: 4\nname: check\nkind: service\nframeworks: {{{name}: {{use: {name}}}}}\n"
        problems += _problems(text, file, known)
    for application in applications(folder):
        problems += application.problems or _problems(
            _text(application.file), str(application.file), known
        )
    return tuple(problems)


def _problems(text: str, file: str, known: Mapping[str, tuple[str, str]]) -> tuple[Problem, ...]:
    try:
        read_zapp(text, file=file, catalogue=known)
    except ZAppInvalid as invalid:
        return invalid.problems
    return ()


def _application(file: Path) -> Application:
    name = file.parent.name
    try:
        outline = read_outline(_text(file), file=str(file))
    except ZAppInvalid as invalid:
        return Application(name, file, None, invalid.problems)
    if outline.kind is None:
        wrong = "this is a framework: its file is called framework.yaml"
    elif outline.name != name:
        wrong = f"the application in the folder {name} calls itself {outline.name}"
    else:
        return Application(name, file, outline)
    return Application(name, file, None, (Problem(wrong, "name", str(file)),))


def _files(folder: Path, name: str) -> list[Path]:
    try:
        files = sorted(file for file in folder.iterdir() if (file / name).is_file())
    except OSError as error:
        raise CatalogueUnusable(
            f"the catalogue {folder} cannot be read: {error.strerror}",
            hint="the setting zapps_dir names its folder",
        ) from error
    if len(files) > MAX_ENTRIES:
        raise CatalogueUnusable(f"the catalogue {folder} has more than {MAX_ENTRIES} entries")
    return [file / name for file in files]


def _text(file: Path) -> str:
    try:
        # One byte more than allowed is enough to be told that it is too long.
        return _beginning(file, MAX_DOCUMENT_BYTES + 1).decode()
    except UnicodeDecodeError as error:
        raise CatalogueUnusable(f"{file} is not UTF-8 text: {error.reason}") from error


def _beginning(file: Path, count: int) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(count)
    except OSError as error:
        raise CatalogueUnusable(f"{file} cannot be read: {error.strerror}") from error
