"""Server-sent events: how they are written, kept alive and ended."""

import re
from collections.abc import AsyncIterator

from fastapi import Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

KEEP_ALIVE_SECONDS = 15.0
KEEP_ALIVE = ": still here\n\n"
MEDIA_TYPE = "text/event-stream"
_LINE_END = re.compile(r"\r\n|\r|\n")


def event(content: BaseModel | str, *, name: str = "", id: str = "") -> str:
    """Write one event; a model is sent as JSON."""
    text = content if isinstance(content, str) else content.model_dump_json()
    lines = [f"event: {name}"] if name else []
    if id:
        lines.append(f"id: {id}")
    lines.extend(f"data: {line}" for line in _LINE_END.split(text))
    return "\n".join(lines) + "\n\n"


def wants_stream(request: Request, follow: bool | None) -> bool:
    """Whether to send events as they come; what ``follow`` says wins over ``Accept``."""
    if follow is None:
        return MEDIA_TYPE in request.headers.get("accept", "")
    return follow


def stream(events: AsyncIterator[str]) -> StreamingResponse:
    """Answer with events; proxies must neither keep nor change them."""
    return StreamingResponse(
        events,
        media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
