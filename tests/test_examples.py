"""Everything in the catalogue and in the demo is a valid application; its scripts do their work."""

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest

from docker_images import image_of
from zoe.model.zapp import ZApp
from zoe.model.zapp_yaml import read_outline, read_zapp

ROOT = Path(__file__).parents[1]
FRAMEWORKS = sorted(ROOT.glob("zapps/*/framework.yaml"))
APPLICATIONS = sorted(
    [*ROOT.glob("zapps/*/zapp.yaml"), *ROOT.glob("demo/*.yaml"), *ROOT.glob("docs/**/*.yaml")]
)
RECIPES = sorted(ROOT.glob("zapps/*/Dockerfile"))
PAGES = sorted([*ROOT.glob("zapps/*/README.md"), *ROOT.glob("docs/**/*.md")])
OURS = re.compile(r"\bzoe/([a-z][a-z-]*):\d[\w.]*")
"""An image of the catalogue, with its version."""
BUILD = re.compile(r"docker build -t (zoe/\S+) zapps/([a-z-]+)")
CATALOGUE: Mapping[str, tuple[str, str]] = {
    path.parent.name: (str(path), path.read_text()) for path in FRAMEWORKS
}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def read(path: Path, **parameters: object) -> ZApp:
    text = path.read_text()
    return read_zapp(text, file=name_of(path), parameters=parameters, catalogue=CATALOGUE)


@pytest.mark.parametrize("path", APPLICATIONS, ids=name_of)
def test_every_application_is_valid(path: Path) -> None:
    assert list(read(path).services())


@pytest.mark.parametrize("path", FRAMEWORKS, ids=name_of)
def test_every_framework_is_valid_in_an_application(path: Path) -> None:
    name = path.parent.name
    assert read_outline(path.read_text(), file=name_of(path)).name == name
    # Under another name, for what it calls itself must follow.
    text = f"zoe: 4\nname: user\nkind: service\nframeworks: {{mine: {{use: {name}}}}}\n"
    zapp = read_zapp(text, catalogue=CATALOGUE)
    assert {framework.name for framework in zapp.frameworks} == {"mine"}
    assert not [service for _, service in zapp.services() if f"dns.{name}" in str(service)]


@pytest.mark.parametrize("folder", sorted(ROOT.glob("zapps/*/")), ids=name_of)
def test_every_folder_says_what_it_is(folder: Path) -> None:
    assert (folder / "README.md").read_text().startswith(f"# {folder.name}\n")
    assert (folder / "zapp.yaml").is_file() or (folder / "framework.yaml").is_file()


def wrong_images(path: Path) -> list[str]:
    """Return what a file says of our images and of how to build them that is not so."""
    text = path.read_text()
    named = [each for each in OURS.finditer(text) if each[0] != image_of(each[1])]
    built = [each for each in BUILD.finditer(text) if each[1] != image_of(each[2])]
    return [each[0] for each in named + built]


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_every_dockerfile_says_how_the_image_is_built_that_its_entry_names(path: Path) -> None:
    name = path.parent.name
    builds = [(each[1], each[2]) for each in BUILD.finditer(path.read_text())]
    assert builds == [(image_of(name), name)]
    assert not wrong_images(path)
    assert f"docker build -t {image_of(name)} zapps/{name}" in (
        path.with_name("README.md").read_text()
    )


@pytest.mark.parametrize("path", [*PAGES, *FRAMEWORKS, *APPLICATIONS], ids=name_of)
def test_every_page_and_every_default_names_the_image_that_is_built(path: Path) -> None:
    assert not wrong_images(path)


def test_the_demo_fits_its_node_only_without_an_elastic_worker() -> None:
    wordcount = read(ROOT / "zapps/dask-wordcount/zapp.yaml")
    second = read(ROOT / "demo/second.yaml")
    all_cores = sum(
        service.resources.cores_milli * (service.essential + service.elastic)
        for _, service in wordcount.services()
    )
    worker = wordcount.service("dask.worker").resources.cores_milli
    needed = second.service("primes.sieve").resources.cores_milli
    assert all_cores <= 2000 < all_cores + needed
    assert all_cores - worker + needed <= 2000


@pytest.fixture(scope="module")
def wordcount() -> ModuleType:
    path = ROOT / "zapps/dask-wordcount/wordcount.py"
    spec = importlib.util.spec_from_file_location("wordcount", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("x = y + 1", ["x", "y"]),
        ("if x: return None", ["x"]),
        ("x # not y", ["x"]),
        ("f('x \\' y', \"z\")", ["f"]),
        ('"""a\n"b" c"""\nd', ["d"]),
        ("größe2 = 2e3 + 0x1f", ["größe2"]),
    ],
)
def test_only_identifiers_are_counted(wordcount: ModuleType, source: str, names: list[str]) -> None:
    assert list(wordcount.identifiers(source)) == names


def test_chunks_hold_every_file_once(wordcount: ModuleType) -> None:
    files = [(str(number), 400_000) for number in range(10)]
    chunks = wordcount.in_chunks(files)
    assert [len(chunk) for chunk in chunks] == [3, 3, 3, 1]
    assert [path for chunk in chunks for path in chunk] == [path for path, _ in files]
    assert wordcount.in_chunks([]) == []
