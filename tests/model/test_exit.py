"""How the end of an instance is said, once for everybody."""

import pytest

from zoe.model.execution import Exit, ExitReason


@pytest.mark.parametrize(
    ("exit", "said"),
    [
        (Exit(ExitReason.FAILED, code=3), "exited with 3"),
        (Exit(ExitReason.FAILED, signal=9), "died from signal 9"),
        (Exit(ExitReason.FAILED, signal=9, message="SIGKILL"), "died from signal 9: SIGKILL"),
        (Exit(ExitReason.FAILED), "failed"),
        (Exit(ExitReason.OUT_OF_MEMORY, code=137), "ran out of memory"),
        (Exit(ExitReason.NOT_STARTED, message="no image"), "could not be started: no image"),
    ],
)
def test_endings(exit: Exit, said: str) -> None:
    assert exit.sentence == said
