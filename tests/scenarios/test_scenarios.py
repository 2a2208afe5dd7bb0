"""Runs the text scenarios of this folder: commands, and below each what the scheduler decided.

``ZOE_REWRITE=1 pytest tests/scenarios`` writes the present output into the files; read the diff.
"""

import os
from pathlib import Path

import pytest
from scenario import replay

FOLDER = Path(__file__).parent
SCENARIOS = sorted(FOLDER.glob("*.txt"))


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: file.stem)
def test_scenario(file: Path) -> None:
    expected = file.read_text()
    actual = replay(expected)
    if os.environ.get("ZOE_REWRITE"):
        file.write_text(actual)
    else:
        assert actual == expected


def test_there_are_scenarios_and_each_has_output() -> None:
    assert len(SCENARIOS) > 20
    for file in SCENARIOS:
        assert "\n----\n" in file.read_text(), file.name
