"""Reads what a user sends to run, check or plan: JSON around a description, or the bare text."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from zoe import failpoints
from zoe.api.access import Actor
from zoe.api.errors import BadRequest, KeyReused, UnsupportedMediaType
from zoe.api.names import random_name
from zoe.api.parts import Parts
from zoe.api.shares import check_quota, chosen_team
from zoe.model.errors import Problem, ZAppInvalid
from zoe.model.execution import Execution, ExecutionStatus
from zoe.model.rest_executions import YAML_TYPES, ParameterValue, SubmitRequest
from zoe.model.volumes import refusals
from zoe.model.zapp import ZApp
from zoe.model.zapp_yaml import read_zapp
from zoe.store.base import NewExecution

KEY_LENGTH = 255
AT_ONCE_MAX = 4096
"""Characters that are read while all others wait, for milliseconds; more are read in a thread,
which lets the others have their turn but makes them, and the commits, wait longer in all."""

OPENAPI_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/SubmitRequest"}},
            "application/yaml": {"schema": {"type": "string"}},
        },
    }
}


async def read_submission(request: Request) -> SubmitRequest:
    """Return what the body (and for a bare description the query) says."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(
            f"The request body is not UTF-8 text: byte {error.start} is wrong."
        ) from error
    if media_type in YAML_TYPES:
        query = request.query_params
        return _checked(
            {
                "document": text,
                "file": query.get("file", ""),
                "name": query.get("name", ""),
                "parameters": read_choices(query.getlist("set")),
                "team": query.get("team", ""),
            }
        )
    if media_type == "application/json":
        try:
            return _checked(json.loads(text))
        except (ValueError, RecursionError) as error:  # a number of 5,000 digits is a ValueError
            raise BadRequest(f"The request body is not JSON: {error}.") from error
    raise UnsupportedMediaType(
        f"A body of type {media_type or 'unknown'} is not understood here.",
        hint="Send application/json, or a description as application/yaml.",
    )


Submission = Annotated[SubmitRequest, Depends(read_submission)]


def read_choices(choices: Sequence[str]) -> dict[str, ParameterValue]:
    """Read ``name=value`` choices; a value that is a JSON scalar is that, else text."""
    parameters: dict[str, ParameterValue] = {}
    for choice in choices:
        name, equals, value = choice.partition("=")
        if not equals or not name.strip():
            raise BadRequest(f"{choice!r} is not a choice.", hint="Write it as parameter=value.")
        parameters[name.strip()] = _scalar(value.strip())
    return parameters


def _scalar(text: str) -> ParameterValue:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, int | float) else text


def _checked(content: object) -> SubmitRequest:
    try:
        return SubmitRequest.model_validate(content)
    except ValidationError as error:
        raise RequestValidationError(
            [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        ) from error


async def checked_zapp(parts: Parts, submission: SubmitRequest) -> ZApp:
    """Return the application that is described; raises ZAppInvalid with every error."""
    if len(submission.document) <= AT_ONCE_MAX:
        return _read(parts, submission)
    return await run_in_threadpool(_read, parts, submission)


def _read(parts: Parts, submission: SubmitRequest) -> ZApp:
    parameters: Mapping[str, object] = submission.parameters
    return read_zapp(
        submission.document,
        file=submission.file,
        parameters=parameters,
        catalogue=parts.frameworks(),
    )


def _check_volumes(parts: Parts, zapp: ZApp, user: str, team: str, file: str) -> None:
    """Raise ZAppInvalid for each volume that nobody defined for the user, or their team."""
    problems = tuple(
        Problem(message, f"{name}.volumes", file, hint=hint)
        for name, service in zapp.services()
        for message, hint in refusals(parts.settings.volume_specs, service.volumes, user, team)
    )
    if problems:
        raise ZAppInvalid(problems)


async def submit(parts: Parts, actor: Actor, submission: SubmitRequest, key: str = "") -> Execution:
    """Commit an execution, then ring the master.

    Raises KeyReused for a key of another request, ExceedsQuota for a time limit that is too long.
    ZAppInvalid for a volume that its user cannot have.
    What else can never start under a quota is accepted, and says so in its reasons.
    """
    if len(key) > KEY_LENGTH or not key.isprintable():
        raise BadRequest(f"An Idempotency-Key has at most {KEY_LENGTH} printable characters.")
    zapp = await checked_zapp(parts, submission)
    shares = await parts.shares.read()
    team = chosen_team(shares, actor.user, submission.team)
    _check_volumes(parts, zapp, actor.user, team, submission.file)
    never = check_quota(shares, actor.user, team, zapp)
    await failpoints.reach("cp01")
    execution = await parts.store.submit(
        NewExecution(
            name=submission.name or random_name(),
            owner=actor.user,
            zapp=zapp,
            source=submission.document,
            idempotency_key=key,
            team=team,
        )
    )
    await failpoints.reach("cp02")
    if key and (
        execution.zapp != zapp
        or submission.name not in ("", execution.name)
        or submission.team not in ("", execution.team)
    ):
        raise KeyReused(
            f"This Idempotency-Key belongs to execution {execution.id}, which is another one.",
            hint="Make a new key for every new request.",
        )
    await parts.ring(execution.id)
    if never is not None and execution.status is ExecutionStatus.SUBMITTED:
        return replace(execution, reasons=(never,))  # as the master will find, too
    return execution
