"""The Python SDK: everything the api offers, for scripts, notebooks and the command line.

``Zoe`` blocks, ``AsyncZoe`` is awaited; both have the same methods, described in
:mod:`zoe.client.calls`, and both answer with the shapes of :mod:`zoe.model.rest`.
"""

from zoe.client.asynchronous import AsyncZoe
from zoe.client.errors import (
    Conflict,
    NotAllowed,
    NotFound,
    Rejected,
    RequestFailed,
    TimedOut,
    Unreachable,
)
from zoe.client.synchronous import Zoe

__all__ = [
    "AsyncZoe",
    "Conflict",
    "NotAllowed",
    "NotFound",
    "Rejected",
    "RequestFailed",
    "TimedOut",
    "Unreachable",
    "Zoe",
]
