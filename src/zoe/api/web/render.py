"""Templates: where they are, what they know, and how a document is listed with its errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

import zoe
from zoe.api.web import words
from zoe.api.web.quotas import quota_bars
from zoe.model.rest import ErrorView

if TYPE_CHECKING:
    from zoe.api.web.sign_in import SignedIn

_FILTERS = (
    words.memory,
    words.cores,
    words.amount,
    words.duration,
    words.ago,
    words.clock,
    words.machine_time,
    words.exit_sentence,
    words.expected,
    words.history_sentence,
    words.loss_sentence,
    words.now_sentence,
    words.run_seconds,
    words.sentence,
)
_FUNCTIONS = (
    words.plural,
    words.percent,
    words.status_colour,
    words.status_word,
    words.use_words,
    quota_bars,
)

_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {each.__name__: each for each in _FILTERS}
_environment.globals |= {each.__name__: each for each in _FUNCTIONS}
_environment.globals["version"] = zoe.__version__


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a document with what is wrong on it."""

    number: int
    text: str
    problems: Sequence[ErrorView]


def document_lines(document: str, problems: Sequence[ErrorView]) -> list[Line]:
    """Return the lines of a document, each with its problems."""
    at_line: dict[int, list[ErrorView]] = {}
    for problem in problems:
        at_line.setdefault(problem.line, []).append(problem)
    return [
        Line(number, text, at_line.get(number, ()))
        for number, text in enumerate(document.rstrip("\n").split("\n"), 1)
    ]


def render(template: str, **shown: Any) -> str:
    """Return a template filled in."""
    return _environment.get_template(template).render(**shown)


def page(template: str, request: Request, who: "SignedIn | None", **shown: Any) -> HTMLResponse:
    """Return a whole page; ``who`` is None when nobody is signed in."""
    return HTMLResponse(
        render(
            template,
            path=request.url.path,
            user=who.actor.user if who else "",
            **({"csrf": who.session.csrf if who else ""} | shown),
        ),
        headers={"Cache-Control": "no-store"},
    )
