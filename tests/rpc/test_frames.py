"""The decoder reads what the encoder wrote, and raises nothing but its own error on the rest."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoe.rpc import frames
from zoe.rpc.messages import (
    VERSION,
    Blocker,
    Done,
    Failed,
    Ping,
    Placement,
    Plan,
    Planned,
    Pong,
    Reply,
    Request,
    Wake,
)

REQUEST_ID = bytes(range(16))
text = st.text(max_size=30)
requests = st.one_of(
    st.builds(Wake, st.integers(0, 2**63 - 1)),
    st.just(Ping()),
    st.builds(
        Plan,
        text,
        text,
        text,
        st.dictionaries(
            text,
            st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), text),
            max_size=4,
        ).filter(lambda values: all(value == value for value in values.values())),
    ),
)
replies = st.one_of(
    st.just(Done()),
    st.builds(Pong, st.integers(0, 2**63 - 1), st.floats(allow_nan=False), text, text),
    st.builds(Failed, text, text),
    st.builds(
        Planned,
        st.booleans(),
        st.booleans(),
        st.lists(st.builds(Placement, text, text, st.booleans()), max_size=4),
        st.lists(st.builds(Blocker, text, text), max_size=4),
        st.lists(text, max_size=4),
    ),
)


@given(requests, st.binary(min_size=16, max_size=16), st.floats(0, 1e6))
def test_a_request_comes_back_as_it_was(request: Request, request_id: bytes, left: float) -> None:
    frame = frames.pack(request_id, request, left)
    header = frames.read_header(frame)
    assert header.request_id == request_id
    assert header.left_seconds == pytest.approx(left, abs=0.001)
    assert frames.read_request(frame) == request


@given(replies)
def test_a_reply_comes_back_as_it_was(reply: Reply) -> None:
    assert frames.read_reply(frames.pack(REQUEST_ID, reply)) == reply


def read_all(frame: bytes) -> None:
    """Read ``frame`` in every way; only the decoder's own errors are let through."""
    with contextlib.suppress(frames.Malformed, frames.WrongVersion):
        frames.read_header(frame)
    for read in (frames.read_request, frames.read_reply):
        with contextlib.suppress(frames.Malformed):
            read(frame)


@given(st.binary(max_size=200))
def test_random_bytes_raise_only_the_decoders_own_error(frame: bytes) -> None:
    read_all(frame)
    read_all(bytes([VERSION]) + frame)


@given(requests, st.data())
def test_a_damaged_request_raises_only_the_decoders_own_error(
    request: Request, data: st.DataObject
) -> None:
    frame = bytearray(frames.pack(REQUEST_ID, request, 1.0))
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    read_all(bytes(frame[: data.draw(st.integers(0, len(frame)))]))


@pytest.mark.parametrize(
    "body",
    [
        b"\x91" * 500_000,  # arrays in arrays
        b"\x81\xa1x" * 300_000,  # maps in maps
        b"\x82\xa1x" + b"\x91" * 500_000,  # deep in a field that is to be skipped
        b"\xdd\xff\xff\xff\xff",  # an array that says it has four thousand million items
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xffabc",
        b"\x81\xa4type\xa4\xff\xff\xff\xff",  # not UTF-8
        b"\x81\xa4type\xa5plan!",
        b"\x83\xa4type\xa4plan\xa5owner\xa1a\xa8document\xc0",
        b"\x82\xa4type\xa4ping\xa1x\x01",
        b"",
    ],
)
def test_a_hostile_body_is_malformed(body: bytes) -> None:
    frame = frames.pack(REQUEST_ID, Ping(), 1.0)[:21] + body
    with pytest.raises(frames.Malformed):
        frames.read_request(frame)


def test_every_other_version_is_told_by_its_request_id() -> None:
    for version in set(range(256)) - {VERSION}:
        with pytest.raises(frames.WrongVersion) as raised:
            frames.read_header(bytes([version]) + REQUEST_ID)
        assert raised.value.request_id == REQUEST_ID


@pytest.mark.parametrize("size", range(21))
def test_a_short_frame_is_malformed(size: int) -> None:
    with pytest.raises(frames.Malformed):
        frames.read_header(frames.pack(REQUEST_ID, Ping(), 1.0)[:size])


def test_the_time_left_has_bounds_and_is_big_endian() -> None:
    assert frames.pack(REQUEST_ID, Ping(), 1.5)[17:21] == struct.pack(">I", 1500)
    assert frames.read_header(frames.pack(REQUEST_ID, Ping(), -3.0)).left_seconds == 0
    assert frames.read_header(frames.pack(REQUEST_ID, Ping(), 1e12)).left_seconds > 4e6


def test_a_message_that_fits_no_frame_is_not_made() -> None:
    frames.pack(REQUEST_ID, Plan("admin", "x" * (frames.MAX_BYTES - 100)))
    with pytest.raises(frames.TooLarge):
        frames.pack(REQUEST_ID, Plan("admin", "x" * frames.MAX_BYTES))
