"""The page of the two state machines, drawn from their tables.

``python -m zoe.model.state_diagrams`` prints it, as it is in ``docs/explanation/states.md``.
"""

import sys
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import TypeVar

from zoe.model.execution import (
    EXECUTION_TRANSITIONS,
    INSTANCE_TRANSITIONS,
    ExecutionStatus,
    InstanceStatus,
)

S = TypeVar("S", bound=StrEnum)

_PAGE = """\
# The states of an execution and of its instances

Drawn from the tables in `zoe.model.execution`, which are the only definition of what may follow
what; `python -m zoe.model.state_diagrams` draws them again.

## An execution

{execution}
It is **submitted** as soon as it is durable, and **queued** once the master has seen it. With
**starting** it is admitted: every essential instance has its room. It is **running** when all of
them have started. **Stopping** means that its end is decided and its instances are being stopped;
**terminated** that it ended as it should, or because a user asked; **failed** that it did not.
What waits can be stopped without ever having started.

## An instance

{instance}
A **waiting** instance has its room; it waits for what it depends on, or for its back-off.
A **stopped** one holds nothing. When it is tried again it waits anew, with the next attempt number.
"""


def states_page() -> str:
    """Return the page in Markdown, its diagrams in Mermaid."""
    return _PAGE.format(
        execution=_diagram(EXECUTION_TRANSITIONS, ExecutionStatus.SUBMITTED),
        instance=_diagram(INSTANCE_TRANSITIONS, InstanceStatus.WAITING),
    )


def main() -> None:
    """Print the page."""
    sys.stdout.write(states_page())


def _diagram(transitions: Mapping[S, AbstractSet[S]], first: S) -> str:
    order = list(transitions)
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first}"]
    for old, successors in transitions.items():
        lines += [f"    {old} --> {new}" for new in sorted(successors, key=order.index)]
        if not successors:
            lines.append(f"    {old} --> [*]")
    return "\n".join([*lines, "```", ""])


if __name__ == "__main__":
    main()
