"""The diagrams of the states are those of the tables."""

from pathlib import Path

import pytest

from zoe.model.errors import IllegalTransition
from zoe.model.execution import (
    ENDED,
    EXECUTION_TRANSITIONS,
    INSTANCE_TRANSITIONS,
    ExecutionStatus,
    InstanceStatus,
    check_execution_transition,
    check_instance_transition,
)
from zoe.model.state_diagrams import main, states_page

PAGE = Path(__file__).parents[2] / "docs/explanation/states.md"


def test_the_page_is_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    assert capsys.readouterr().out == PAGE.read_text(), (
        "python -m zoe.model.state_diagrams > docs/explanation/states.md"
    )


def test_every_transition_is_drawn_once() -> None:
    _, execution, instance = states_page().split("```mermaid")
    tables = ((execution, EXECUTION_TRANSITIONS), (instance, INSTANCE_TRANSITIONS))
    for diagram, table in tables:
        lines = diagram.splitlines()
        for old, successors in table.items():
            for new in successors:
                assert lines.count(f"    {old} --> {new}") == 1


def test_a_transition_is_allowed_by_its_table_alone() -> None:
    for old in ExecutionStatus:
        for new in ExecutionStatus:
            if new in EXECUTION_TRANSITIONS[old]:
                check_execution_transition(old, new)
            else:
                with pytest.raises(IllegalTransition, match=f"from {old} to {new}"):
                    check_execution_transition(old, new)
    check_instance_transition(InstanceStatus.STOPPED, InstanceStatus.WAITING)
    with pytest.raises(IllegalTransition, match="from stopped to running"):
        check_instance_transition(InstanceStatus.STOPPED, InstanceStatus.RUNNING)


def test_every_execution_can_end() -> None:
    for status in ExecutionStatus:
        reached = {status}
        while more := {new for old in reached for new in EXECUTION_TRANSITIONS[old]} - reached:
            reached |= more
        assert reached & ENDED
