"""Turns every error into an answer: a problem for programs, a page for people.

The only place that knows which error has which status.
"""

from collections.abc import Callable, Sequence
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from zoe.api.access import Forbidden, Unauthenticated
from zoe.api.shares import ExceedsQuota, NotInTeam
from zoe.model.errors import Problem as ZAppProblem
from zoe.model.errors import ZAppInvalid, ZoeError
from zoe.model.rest import API_PREFIX, PROBLEM_TYPE, ErrorView, Problem, ProblemCode
from zoe.rpc.client import MasterUnreachable
from zoe.store.base import Conflict, NotFound, StoreUnavailable

log = structlog.get_logger()

RETRY_SECONDS = 2
"""When to try again while the database is away."""


class BadRequest(ZoeError):
    """The request cannot be understood."""


class PreconditionFailed(ZoeError):
    """It has changed since you looked at it."""


class UnsupportedMediaType(ZoeError):
    """The request body is of a kind that is not understood here."""


class KeyReused(ZoeError):
    """The Idempotency-Key was used for another request."""


PageMaker = Callable[[Request, Problem], Response]

_KNOWN: dict[type[ZoeError], tuple[int, ProblemCode]] = {
    BadRequest: (400, ProblemCode.REQUEST_INVALID),
    NotInTeam: (400, ProblemCode.REQUEST_INVALID),
    Unauthenticated: (401, ProblemCode.UNAUTHENTICATED),
    Forbidden: (403, ProblemCode.FORBIDDEN),
    NotFound: (404, ProblemCode.NOT_FOUND),
    Conflict: (409, ProblemCode.CONFLICT),
    PreconditionFailed: (412, ProblemCode.PRECONDITION_FAILED),
    UnsupportedMediaType: (415, ProblemCode.UNSUPPORTED_MEDIA_TYPE),
    ZAppInvalid: (422, ProblemCode.ZAPP_INVALID),
    ExceedsQuota: (422, ProblemCode.EXCEEDS_QUOTA),
    KeyReused: (422, ProblemCode.IDEMPOTENCY_KEY_REUSED),
    StoreUnavailable: (503, ProblemCode.STORE_UNAVAILABLE),
    MasterUnreachable: (503, ProblemCode.MASTER_UNAVAILABLE),
}
_BY_STATUS = {
    400: ProblemCode.REQUEST_INVALID,
    404: ProblemCode.NO_SUCH_ROUTE,
    405: ProblemCode.METHOD_NOT_ALLOWED,
    413: ProblemCode.REQUEST_TOO_LARGE,
    421: ProblemCode.WRONG_HOST,
}


def install(app: FastAPI, make_page: PageMaker) -> None:
    """Answer every error of ``app``; ``make_page`` shows a problem to people."""

    async def answer(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        if problem.code == ProblemCode.INTERNAL:
            log.error("request failed", path=request.url.path, exc_info=error)
        elif problem.status >= 500:
            log.warning("request not served", path=request.url.path, why=str(error))
        if is_for_people(request):
            response = make_page(request, problem)
        else:
            response = problem_response(problem)
        if isinstance(error, HTTPException) and error.headers:
            response.headers.update(error.headers)
        return response

    for kind in (ZoeError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, answer)


def is_for_people(request: Request) -> bool:
    """Whether a browser shows the answer: not under the API, and it asked for a page."""
    return not request.url.path.startswith(API_PREFIX) and "text/html" in request.headers.get(
        "accept", ""
    )


def problem_of(error: Exception) -> Problem:
    """Say what went wrong; nothing of an unforeseen error gets out."""
    match error:
        case ZAppInvalid():
            return _problem(
                422,
                ProblemCode.ZAPP_INVALID,
                "The application description has errors.",
                hint=error.hint,
                errors=error_views(error.problems),
            )
        case ZoeError():
            for kind, (status, code) in _KNOWN.items():
                if isinstance(error, kind):
                    return _problem(status, code, str(error), hint=error.hint)
        case RequestValidationError():
            return _problem(
                422,
                ProblemCode.REQUEST_INVALID,
                "The request is not as it should be.",
                errors=[
                    ErrorView(message=each["msg"], path=".".join(map(str, each["loc"])))
                    for each in error.errors()
                ],
            )
        case HTTPException():
            code = _BY_STATUS.get(error.status_code, ProblemCode.REQUEST_INVALID)
            return _problem(error.status_code, code, _detail(error))
        case _:
            pass
    return _problem(
        500,
        ProblemCode.INTERNAL,
        "Something went wrong inside Zoe.",
        hint="The log of the api says what; please report it.",
    )


def problem_response(problem: Problem) -> Response:
    """Return the problem as an answer to a program."""
    headers = {}
    if problem.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="zoe"'
    if problem.code == ProblemCode.STORE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_SECONDS)
    return JSONResponse(
        problem.model_dump(mode="json"), problem.status, headers, media_type=PROBLEM_TYPE
    )


def error_views(problems: Sequence[ZAppProblem]) -> list[ErrorView]:
    """Return what is wrong in a document, in the order of its lines."""
    return [
        ErrorView.of(each) for each in sorted(problems, key=lambda each: (each.line, each.column))
    ]


def _problem(
    status: int,
    code: ProblemCode,
    detail: str,
    *,
    hint: str = "",
    errors: list[ErrorView] | None = None,
) -> Problem:
    return Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        hint=hint,
        errors=errors or [],
    )


def _detail(error: HTTPException) -> str:
    match error.status_code:
        case 404:
            return "There is nothing at this address."
        case 405:
            return "This address does not take this method."
        case _:
            return str(error.detail)
