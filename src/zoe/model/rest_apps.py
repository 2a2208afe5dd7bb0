"""The shapes of the catalogue in the REST interface."""

from zoe.model.rest import Answer, ErrorView, Page
from zoe.model.zapp import Kind


class ParameterView(Answer):
    """What the user of an application chooses; without a default they have to."""

    name: str
    type: str
    title: str = ""
    description: str = ""
    default: str | int | float | bool | None = None
    min: int | float | None = None
    max: int | float | None = None
    choices: list[str] = []


class AppView(Answer):
    """An application of the catalogue; one that is wrong has no kind, but ``errors``."""

    name: str
    title: str
    description: str = ""
    kind: Kind | None = None
    parameters: list[ParameterView] = []
    errors: list[ErrorView] = []


class AppDetail(AppView):
    """An application with its files."""

    readme: str = ""
    """Markdown."""
    document: str = ""
    """Its description, to be submitted as it is."""


AppPage = Page[AppView]
