"""How one message travels: a single ZeroMQ frame, a header of fixed size before a msgpack body.

======  =====  ==========================================================================
bytes   type   meaning
======  =====  ==========================================================================
0       u8     protocol version
1-16    bytes  request id, repeated in the answer; all zero: no answer is wanted
17-20   u32    milliseconds that the asker goes on waiting, big-endian; 0 in an answer
21-     bytes  the message, tagged with its kind (``messages.py``)
======  =====  ==========================================================================

The first 17 bytes are the same in every version of the protocol, so that a peer of another version
can be told so. The time is what is left and not a date: the two clocks may differ.
"""

import struct
from typing import NamedTuple, TypeVar

import msgspec

from zoe.model.errors import ZoeError
from zoe.rpc.messages import VERSION, Reply, Request

MAX_BYTES = 2 * 1024 * 1024
"""Size of the largest frame; twice the largest request body of the api."""
NO_ANSWER = bytes(16)
"""The request id of a hint."""

_HEADER = struct.Struct(">B16sI")
_LASTING_BYTES = 17
_LONGEST_MILLISECONDS = 2**32 - 1
_M = TypeVar("_M")


class Malformed(ZoeError):
    """A frame that is not a message."""


class WrongVersion(ZoeError):
    """A frame of another version of the protocol."""

    def __init__(self, request_id: bytes, version: int) -> None:
        super().__init__(f"protocol version {version} instead of {VERSION}")
        self.request_id = request_id


class TooLarge(ZoeError):
    """A message that does not fit into a frame."""


class Header(NamedTuple):
    """Whose message it is and how long its asker goes on waiting, in seconds."""

    request_id: bytes
    left_seconds: float


def pack(request_id: bytes, message: Request | Reply, left_seconds: float = 0.0) -> bytes:
    """Return the frame of ``message``; raises TooLarge."""
    milliseconds = min(max(0, int(left_seconds * 1000)), _LONGEST_MILLISECONDS)
    frame = _HEADER.pack(VERSION, request_id, milliseconds) + _encode(message)
    if len(frame) > MAX_BYTES:
        raise TooLarge(f"The message has {len(frame)} bytes, more than {MAX_BYTES}.")
    return frame


def read_header(frame: bytes) -> Header:
    """Return the header of ``frame``; raises Malformed, WrongVersion."""
    if len(frame) < _LASTING_BYTES:
        raise Malformed(f"a frame of {len(frame)} bytes")
    if frame[0] != VERSION:
        raise WrongVersion(frame[1:_LASTING_BYTES], frame[0])
    if len(frame) < _HEADER.size:
        raise Malformed(f"a frame of {len(frame)} bytes")
    _, request_id, milliseconds = _HEADER.unpack_from(frame)
    return Header(request_id, milliseconds / 1000)


def read_request(frame: bytes) -> Request:
    """Return the request in ``frame``, whose header was read; raises Malformed."""
    return _decode(_REQUEST, frame)


def read_reply(frame: bytes) -> Reply:
    """Return the reply in ``frame``, whose header was read; raises Malformed."""
    return _decode(_REPLY, frame)


_encode = msgspec.msgpack.Encoder().encode
_REQUEST: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_REPLY: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def _decode(decoder: msgspec.msgpack.Decoder[_M], frame: bytes) -> _M:
    try:
        return decoder.decode(memoryview(frame)[_HEADER.size :])
    # Deep nesting ends in RecursionError, a string that is not UTF-8 in a ValueError.
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Malformed(str(error)) from error
