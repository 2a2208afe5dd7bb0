"""What can go wrong with a request, as exceptions: one class for each thing a caller can do."""

import httpx2
from pydantic import ValidationError

from zoe.model.errors import ZoeError
from zoe.model.rest import ErrorView, Problem, ProblemCode


class RequestFailed(ZoeError):
    """The api did not do what was asked."""

    def __init__(
        self, message: str = "", *, hint: str = "", problem: Problem | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.problem = problem
        """What the api sent, if it sent anything that can be understood."""

    @property
    def code(self) -> str:
        """The stable code of the problem; empty when there is none."""
        return self.problem.code if self.problem else ""


class NotAllowed(RequestFailed):
    """The token is missing or unknown, or does not allow this."""


class NotFound(RequestFailed):
    """There is no such thing, or none that this token may see."""


class Rejected(RequestFailed):
    """The request, or the application in it, is not valid; ``errors`` has every mistake."""

    @property
    def errors(self) -> list[ErrorView]:
        """Each thing that is wrong, with its place."""
        return self.problem.errors if self.problem else []


class Conflict(RequestFailed):
    """The execution is not in a state that allows this, or the name is ambiguous."""


class Unreachable(RequestFailed):
    """The api, or what it needs, does not answer."""


class TimedOut(RequestFailed):
    """It took longer than the caller wanted to wait."""


_BY_STATUS: dict[int, type[RequestFailed]] = {
    400: Rejected,
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    412: Conflict,
    413: Rejected,
    415: Rejected,
    422: Rejected,
    502: Unreachable,
    503: Unreachable,
    504: Unreachable,
}


def failure(response: httpx2.Response) -> RequestFailed:
    """Return the exception for an answer that is an error; its body must have been read."""
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        return _BY_STATUS.get(response.status_code, RequestFailed)(
            f"{response.request.url.copy_with(query=None)} answered {response.status_code}, "
            "and not as a Zoe api does",
            hint="Is the address right? `zoe config show --origin` says where it comes from.",
        )
    kind = _BY_STATUS.get(problem.status, RequestFailed)
    if problem.code == ProblemCode.NO_SUCH_ROUTE:
        kind = RequestFailed
    return kind(problem.detail or problem.title, hint=problem.hint, problem=problem)


def no_answer(url: str, error: httpx2.TransportError) -> Unreachable:
    """Return the exception for a request that nobody answered."""
    if isinstance(error, httpx2.TimeoutException):
        return Unreachable(
            f"the api at {url} does not answer in time",
            hint="`zoe doctor` looks for the reason.",
        )
    return Unreachable(
        f"the api at {url} cannot be reached: {error}",
        hint="`zoe up` starts Zoe on this machine; --url or ZOE_API_URL names another one.",
    )
