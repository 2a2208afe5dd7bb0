"""Every request of the REST interface as a value, shared by the blocking and the async client.

A function here says what is sent and how the answer is read; ``Zoe`` and ``AsyncZoe`` have one
method of the same name and arguments for each. ``ref`` is an execution's id, its name, or a unique
prefix of its name. Every call is safe to repeat, and is repeated when nobody answers.
"""

import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from zoe.client.call import Call
from zoe.client.errors import NotFound, Rejected
from zoe.model.execution import ExecutionStatus
from zoe.model.rest import ErrorView, Problem, ProblemCode, ReadyView, VersionView, WhoView
from zoe.model.rest_accounts import (
    TeamForm,
    TeamPage,
    TeamView,
    UsagePage,
    UserForm,
    UserPage,
    UserView,
)
from zoe.model.rest_apps import AppDetail, AppPage
from zoe.model.rest_cluster import (
    ConvertView,
    EngineForm,
    EngineView,
    MastersView,
    NodeForm,
    NodePage,
    NodeView,
    PlanView,
    ValidateView,
)
from zoe.model.rest_executions import (
    ExecutionDetail,
    ExecutionPage,
    FollowEnd,
    HistoryPage,
    HistoryView,
    LogPage,
    LogText,
    ParameterValue,
    QueuePage,
    ScaleRequest,
    SubmitRequest,
    WhyView,
)
from zoe.model.rest_use import ExecutionUseView, NodePastView, TopView

Model = TypeVar("Model", bound=BaseModel)

Ref = str | int
_NAME_OR_ID = re.compile("[a-z0-9-]+")

WAIT_SECONDS = 30.0
"""How long the api holds one request to wait; longer waits are several requests."""


def submit(
    document: str,
    *,
    name: str = "",
    parameters: Mapping[str, ParameterValue] | None = None,
    file: str = "",
    team: str = "",
    idempotency_key: str = "",
) -> Call[ExecutionDetail]:
    """Submit an application description; returns as soon as the execution is durable.

    ``file`` is its name in error messages, ``team`` the one it runs for in place of the user's
    first. With the same ``idempotency_key`` again, the first
    execution is returned. Raises Rejected with every mistake in the description.
    """
    key = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
    body = _application(document, name, parameters, file, team)
    return Call("POST", "/executions", _as(ExecutionDetail), body=body, headers=key)


def executions(
    *,
    statuses: Iterable[ExecutionStatus] = (),
    name: str = "",
    owner: str = "",
    all: bool = False,
    limit: int = 50,
    cursor: str = "",
) -> Call[ExecutionPage]:
    """Return one page of executions, newest first; those that have ended only with ``all``."""
    query: dict[str, str | list[str]] = {"status": [str(status) for status in statuses]}
    query |= {"name": name, "owner": owner, "cursor": cursor, "limit": str(limit)}
    return Call("GET", "/executions", _as(ExecutionPage), query | ({"all": "true"} if all else {}))


def show(ref: Ref) -> Call[ExecutionDetail]:
    """Return all there is to know about one execution."""
    return Call("GET", _execution(ref), _as(ExecutionDetail))


def why(ref: Ref) -> Call[WhyView]:
    """Return why it waits, or what it does."""
    return Call("GET", f"{_execution(ref)}/why", _as(WhyView))


def wait_a_while(ref: Ref, *, timeout: float = WAIT_SECONDS) -> Call[ExecutionDetail]:
    """Return the execution when it has ended, or as it is after ``timeout`` (<= 60) seconds."""
    query = {"timeout": f"{timeout:g}"}
    path = f"{_execution(ref)}/wait"
    return Call("GET", path, _as(ExecutionDetail), query, timeout_seconds=timeout + 10)


def stop(ref: Ref) -> Call[ExecutionDetail]:
    """Ask for its end; one that has ended is left as it is."""
    return Call("POST", f"{_execution(ref)}/stop", _as(ExecutionDetail))


def scale(ref: Ref, service: str, elastic: int, *, elastic_min: int = 0) -> Call[ExecutionDetail]:
    """Ask for at most ``elastic`` elastic instances of ``framework.service``.

    Of those that it has, ``elastic_min`` are not taken back for others.
    """
    body = _question(ScaleRequest, service=service, elastic=elastic, elastic_min=elastic_min)
    return Call("POST", f"{_execution(ref)}/scale", _as(ExecutionDetail), body=body)


def remove(ref: Ref) -> Call[None]:
    """Forget an execution; one that has not ended is stopped first."""
    return Call("DELETE", _execution(ref), lambda _: None)


def logs(
    ref: Ref, *, service: str = "", stream: str = "", tail: int | None = None
) -> Call[LogPage]:
    """Return the output so far; ``service`` is ``framework.service`` or with ``.ordinal``."""
    query = log_query(service, stream, tail)
    accept = {"Accept": "application/json"}
    return Call("GET", f"{_execution(ref)}/logs", _as(LogPage), query, headers=accept)


def events(
    ref: Ref | None = None, *, limit: int = 1000, cursor: str = "", newest: bool = False
) -> Call[HistoryPage]:
    """Return one page of the history, oldest first, of one execution or of all.

    With ``newest`` it is the last page, else the one after ``cursor``.
    """
    query = {"limit": str(limit), "cursor": cursor}
    if newest:
        query["newest"] = "true"
    return Call("GET", events_path(ref), _as(HistoryPage), query)


def source(ref: Ref) -> Call[str]:
    """Return the application description as it was submitted."""
    return Call("GET", f"{_execution(ref)}/source", bytes.decode)


def queue(*, limit: int = 100) -> Call[QueuePage]:
    """Return those that wait, by their place, with when each is expected to start."""
    return Call("GET", "/queue", _as(QueuePage), {"limit": str(limit)})


def top(*, limit: int = 100) -> Call[TopView]:
    """Return what is used now: of nodes (for administrators), and by the hungriest instances."""
    return Call("GET", "/top", _as(TopView), {"limit": str(limit)})


def execution_use(ref: Ref) -> Call[ExecutionUseView]:
    """Return what an execution uses and has used, by attempt, with the last hour."""
    return Call("GET", f"{_execution(ref)}/use", _as(ExecutionUseView))


def node_use(name: str, *, days: float = 1.0) -> Call[NodePastView]:
    """Return what was used of a machine in the last hour, and in the last ``days``."""
    return Call("GET", f"{_named('nodes', name)}/use", _as(NodePastView), {"days": f"{days:g}"})


def nodes() -> Call[NodePage]:
    """Return the machines: what they have, what is reserved, what runs there."""
    return Call("GET", "/nodes", _as(NodePage))


def apps() -> Call[AppPage]:
    """Return the applications of the catalogue, by name."""
    return Call("GET", "/apps", _as(AppPage))


def app(name: str) -> Call[AppDetail]:
    """Return an application of the catalogue with its files."""
    return Call("GET", _named("apps", name), _as(AppDetail))


def put_node(name: str, status: str, *, reason: str = "") -> Call[NodeView]:
    """Take a node out of service (``cordoned``, ``draining``), or back (``ready``)."""
    body = _question(NodeForm, status=status, reason=reason)
    return Call("PUT", _named("nodes", name), _as(NodeView), body=body)


def add_engine(name: str, engine: str) -> Call[EngineView]:
    """Take another Docker Engine into service, written as in the setting, after the name."""
    body = _question(EngineForm, engine=engine)
    return Call("PUT", f"{_named('nodes', name)}/engine", _as(EngineView), body=body)


def remove_engine(name: str, *, force: bool = False) -> Call[EngineView]:
    """Take an added engine out for good; with ``force`` also one that is away for good."""
    path = f"{_named('nodes', name)}/engine"
    return Call("DELETE", path, _as(EngineView), {"force": "true"} if force else {})


def validate(
    document: str, *, parameters: Mapping[str, ParameterValue] | None = None, file: str = ""
) -> Call[ValidateView]:
    """Check an application description without submitting it."""
    body = _application(document, "", parameters, file)
    return Call("POST", "/validate", _as(ValidateView), body=body)


def convert(document: str, *, file: str = "") -> Call[ConvertView]:
    """Return an application of the formats 0 to 3 in format 4."""
    return Call("POST", "/convert", _as(ConvertView), body=_application(document, "", None, file))


def plan(
    document: str,
    *,
    parameters: Mapping[str, ParameterValue] | None = None,
    file: str = "",
    team: str = "",
) -> Call[PlanView]:
    """Ask whether it would start now, where, and if not, why not, and when."""
    body = _application(document, "", parameters, file, team)
    return Call("POST", "/plan", _as(PlanView), body=body)


def usage(user: str = "") -> Call[UsagePage]:
    """Return what the user and each of their teams use and may use; of another one for admins."""
    return Call("GET", "/usage", _as(UsagePage), {"user": user})


def users() -> Call[UserPage]:
    """Return the users who were named, with their teams and quotas."""
    return Call("GET", "/users", _as(UserPage))


def user(name: str) -> Call[UserView]:
    """Return what is in force for a user, also for one who was never named."""
    return Call("GET", _named("users", name), _as(UserView))


def put_user(
    name: str,
    *,
    teams: Iterable[str] = (),
    weight: float = 1.0,
    quota: Mapping[str, object] | None = None,
) -> Call[UserView]:
    """Have a user be as described; ``quota`` None: that of the user ``default``.

    A quota has any of ``cores``, ``memory``, ``gpus``, ``executions``, ``sessions`` and
    ``run_time``, as ``{"cores": 16, "memory": "64GiB", "run_time": "2h"}``.
    """
    body = _question(UserForm, teams=list(teams), weight=weight, quota=quota)
    return Call("PUT", _named("users", name), _as(UserView), body=body)


def remove_user(name: str) -> Call[None]:
    """Forget what a user may have: it is what ``default`` has from then on."""
    return Call("DELETE", _named("users", name), lambda _: None)


def teams() -> Call[TeamPage]:
    """Return the teams with their weights, guaranteed amounts and quotas."""
    return Call("GET", "/teams", _as(TeamPage))


def put_team(
    name: str,
    *,
    weight: float = 1.0,
    guaranteed: Mapping[str, object] | None = None,
    quota: Mapping[str, object] | None = None,
) -> Call[TeamView]:
    """Make a team, or have it be as described; quotas are written as for users.

    ``guaranteed`` has any of ``cores``, ``memory`` and ``gpus``.
    """
    parts = {"guaranteed": dict(guaranteed or {}), "quota": dict(quota or {})}
    body = _question(TeamForm, weight=weight, **parts)
    return Call("PUT", _named("teams", name), _as(TeamView), body=body)


def remove_team(name: str) -> Call[None]:
    """Forget a team; its executions go on."""
    return Call("DELETE", _named("teams", name), lambda _: None)


def masters() -> Call[MastersView]:
    """Return which master leads, and which ones stand by; for administrators."""
    return Call("GET", "/masters", _as(MastersView))


def whoami() -> Call[WhoView]:
    """Return whose token this is."""
    return Call("GET", "/whoami", _as(WhoView))


def version() -> Call[VersionView]:
    """Return what the server is; needs no token."""
    return Call("GET", "/version", _as(VersionView))


def ready() -> Call[ReadyView]:
    """Return whether the api reaches the store and the master; needs no token."""
    return Call("GET", "/readyz", _as(ReadyView), accept_errors=frozenset({503}))


# Streams: where they are, and what their messages are.


def logs_path(ref: Ref) -> str:
    """Return the address of the logs of an execution."""
    return f"{_execution(ref)}/logs"


def log_query(service: str, stream: str, tail: int | None) -> dict[str, str]:
    """Return what is asked of the logs, without what is not said."""
    asked = {"service": service, "stream": stream, "tail": "" if tail is None else str(tail)}
    return {name: value for name, value in asked.items() if value}


def events_path(ref: Ref | None) -> str:
    """Return the address of the history of an execution, or of all."""
    return "/events" if ref is None else f"{_execution(ref)}/events"


MESSAGES: Mapping[str, type[LogText | HistoryView | FollowEnd]] = {
    "log": LogText,
    "history": HistoryView,
    "end": FollowEnd,
}
"""What the events of a stream carry, by their names; others are of a newer server."""


def _as(model: type[Model]) -> Callable[[bytes], Model]:
    return model.model_validate_json


def _execution(ref: Ref) -> str:
    """Return the path of an execution. Raises NotFound for what no execution can be called."""
    if not _NAME_OR_ID.fullmatch(str(ref)):
        raise NotFound(
            f"There is no execution {str(ref)!r}.",
            hint="A name has lower-case letters, digits and hyphens.",
        )
    return f"/executions/{ref}"


def _named(kind: str, name: str) -> str:
    """Return the path of what is called by its name: a user, a team, a node, an application."""
    return f"/{kind}/{quote(name, safe='')}"


def _application(
    document: str,
    name: str,
    parameters: Mapping[str, ParameterValue] | None,
    file: str,
    team: str = "",
) -> SubmitRequest:
    given = dict(parameters or {})
    return _question(
        SubmitRequest, document=document, file=file, name=name, parameters=given, team=team
    )


def _question(model: type[Model], **fields: object) -> Model:
    """Return the body of a request; Rejected when the api could only reject it, too."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        errors = [
            ErrorView(message=wrong["msg"], path=".".join(map(str, wrong["loc"])))
            for wrong in error.errors()
        ]
        problem = Problem(
            title="Not valid", status=422, code=ProblemCode.REQUEST_INVALID, errors=errors
        )
        raise Rejected("the request is not valid", problem=problem) from error
