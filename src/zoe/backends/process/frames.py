"""Messages between the back-end and its agent: a length and JSON, over a unix socket.

The calls ``hello``, ``replace`` and ``shutdown`` keep their meaning in every protocol, so that any
version can take over from, or end, any other.
"""

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROTOCOL = 3
"""Version of the calls; an agent that speaks another one is replaced."""

FRAME_MAX_BYTES = 64 * 1024 * 1024
"""Largest message: an observation of a hundred thousand instances fits."""

Message = dict[str, Any]


def frame(message: Message) -> bytes:
    """Return the bytes of ``message``."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return len(body).to_bytes(4, "big") + body


async def read_frame(reader: asyncio.StreamReader) -> Message:
    """Return the next message; raises ConnectionError at the end, or when it is not one."""
    try:
        size = int.from_bytes(await reader.readexactly(4), "big")
        if size > FRAME_MAX_BYTES:
            raise ConnectionError(f"a message of {size} bytes is too large")
        message = json.loads(await reader.readexactly(size))
    except asyncio.IncompleteReadError as end:
        raise ConnectionResetError("the connection was closed") from end
    except ValueError as error:
        raise ConnectionError("what arrived is not JSON") from error
    if not isinstance(message, dict):
        raise ConnectionError("what arrived is not a message")
    return message


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Yield a name for the socket ``path`` that is short enough: the kernel allows 107 bytes."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def listen(path: Path) -> socket.socket:
    """Return a socket that listens at ``path``, for this user only; an old one is replaced."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        with short_path(path) as name:
            listener.bind(name)
        listener.listen(64)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    listener.setblocking(False)
    return listener
