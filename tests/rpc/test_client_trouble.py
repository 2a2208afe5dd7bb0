"""What a client says of why there is no connection, from what ZeroMQ tells it."""

import pytest
import zmq

from zoe.rpc.client import trouble_after


def after(*events: int) -> str:
    trouble = ""
    for event in events:
        trouble = trouble_after(event, trouble)
    return trouble


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (zmq.EVENT_HANDSHAKE_FAILED_AUTH, "refused the key"),
        (zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, "master.public"),
    ],
)
def test_who_was_refused_is_told_so_also_while_dialling_again(event: int, said: str) -> None:
    refused = (zmq.EVENT_CONNECTED, event, zmq.EVENT_DISCONNECTED)
    assert said in after(*refused)
    assert said in after(*refused, zmq.EVENT_CONNECT_RETRIED, zmq.EVENT_CONNECTED)


def test_a_later_end_of_it_is_told() -> None:
    refused = (zmq.EVENT_CONNECTED, zmq.EVENT_HANDSHAKE_FAILED_AUTH)
    assert "nothing listens" in after(*refused, zmq.EVENT_CLOSED)
    assert not after(*refused, zmq.EVENT_CONNECTED, zmq.EVENT_HANDSHAKE_SUCCEEDED)


def test_who_is_not_answered_at_all_is_told_that() -> None:
    assert "hangs" in after(zmq.EVENT_CONNECTED)
