"""Model values through JSON and back."""

import json
from pathlib import Path

import pytest

from zoe.model.cluster import Node, NodeStatus, Observation, ObservedInstance
from zoe.model.codec import Undecodable, from_json, to_json
from zoe.model.execution import (
    Desired,
    Execution,
    ExecutionEnd,
    ExecutionStatus,
    Exit,
    ExitReason,
    InstanceStatus,
    Outcome,
    Reason,
    ServiceInstance,
)
from zoe.model.resources import Resources
from zoe.model.zapp_yaml import read_zapp

ZAPP = read_zapp((Path(__file__).parent / "full.yaml").read_text(), parameters={"workers": 3})
NODE = Node("n", Resources(1, 2, 3), labels=frozenset({"a"}), status=NodeStatus.CORDONED)
INSTANCE = ServiceInstance(
    7, "f.s", 0, True, exit=Exit(ExitReason.FAILED, signal=9), started_at=1.5
)


@pytest.mark.parametrize(
    "value",
    [
        ZAPP,
        NODE,
        INSTANCE,
        Reason("no-room", "nothing fits"),
        Execution(
            7,
            "run",
            "ada",
            ZAPP,
            1.25,
            status=ExecutionStatus.STOPPING,
            desired=Desired.STOP,
            elastic={"main.worker": 2},
            instances=(INSTANCE,),
            end=ExecutionEnd(Outcome.FAILED, "it broke", 137),
            reasons=(Reason("a", "b"),),
            queue_position=3,
        ),
        Observation(
            (NODE,),
            (ObservedInstance("7/f.s/0", 1, "n", InstanceStatus.RUNNING, address="127.0.0.1"),),
        ),
    ],
)
def test_there_and_back(value: object) -> None:
    text = json.dumps(to_json(value))
    back: object = from_json(type(value), json.loads(text))
    assert back == value
    assert json.dumps(to_json(back)) == text  # Tells 1 from True and from 1.0, as == does not.


def test_a_neighbouring_version_is_read() -> None:
    assert from_json(Reason, {"code": "a", "message": "b", "colour": "red"}) == Reason("a", "b")
    assert from_json(Exit, {"reason": "lost"}) == Exit(ExitReason.LOST)


@pytest.mark.parametrize("value", [None, [], {"code": "a"}, {"code": "a", "message": 3}])
def test_what_does_not_fit(value: object) -> None:
    with pytest.raises(Undecodable, match="this is not a Reason"):
        from_json(Reason, value)
