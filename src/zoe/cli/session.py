"""What the global options of one command say, and what follows from them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:  # imported when needed: they take longer than most commands
    from zoe.client import AsyncZoe, Zoe
    from zoe.settings import Origin, Settings


@dataclass(slots=True)
class Session:
    """The global options."""

    overrides: dict[str, object] = field(default_factory=dict)
    """Settings given as options, by name."""
    arguments: list[str] = field(default_factory=list)
    """The global options as they were written, for starting ourselves again."""
    verbose: bool = False

    def load(self, **more: object) -> "tuple[Settings, Mapping[str, Origin]]":
        """Return the settings and where they come from; ``more`` are options of the command."""
        from zoe.settings import load_settings

        given = {name: value for name, value in more.items() if value is not None}
        return load_settings(self.overrides | given)

    @property
    def settings(self) -> "Settings":
        """The settings."""
        return self.load()[0]

    @contextmanager
    def zoe(self, retry_seconds: float = 1.0) -> "Iterator[Zoe]":
        """Give a client for the api that the options, the settings or `zoe up` name."""
        from zoe.client import Zoe
        from zoe.client.credentials import credentials

        found = credentials(self.settings)
        with Zoe(found.url, found.token, retry_seconds=retry_seconds) as zoe:
            yield zoe

    def async_zoe(self, retry_seconds: float = 1.0) -> "AsyncZoe":
        """Return the same as :meth:`zoe`, to be awaited."""
        from zoe.client import AsyncZoe
        from zoe.client.credentials import credentials

        found = credentials(self.settings)
        return AsyncZoe(found.url, found.token, retry_seconds=retry_seconds)


def session(context: typer.Context) -> Session:
    """Return the session of a running command."""
    found = context.find_root().obj
    assert isinstance(found, Session)
    return found


def global_options(
    data_dir: Path | None, url: str | None, token: str | None, verbose: bool
) -> Session:
    """Return the session that the global options describe."""
    given = {"data_dir": data_dir, "api_url": url, "token": token}
    if url == "" or token == "":
        raise typer.BadParameter("--url and --token must not be empty")
    # A token is not repeated on a command line: `zoe up` does not need it.
    arguments = ["--data-dir", str(data_dir.absolute())] if data_dir else []
    arguments += ["--url", url] if url else []
    return Session(
        {name: value for name, value in given.items() if value is not None},
        arguments + (["-v"] if verbose else []),
        verbose,
    )
