"""What docs/howto/simulate.md shows is what the command prints."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from zoe.cli.main import main
from zoe.scheduler.generations import GENERATIONS
from zoe.scheduler.queue import POLICIES
from zoe.sim.cluster import read_nodes
from zoe.sim.variant import BACKFILLS
from zoe.sim.workloads.records import COLUMNS
from zoe.sim.workloads.scenario import read_scenario

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/howto/simulate.md").read_text()
ELLIPSIS = "..."


def examples() -> Iterator[tuple[str, str]]:
    """Yield each command with the output that the page shows."""
    for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        command, _, output = block.partition("\n")
        yield command.removeprefix("$ zoe "), output


def is_shown(shown: list[str], printed: list[str]) -> bool:
    """Whether the lines are those printed, where an ellipsis stands for any lines."""
    if not shown:
        return not printed
    if shown[0] == ELLIPSIS:
        return any(is_shown(shown[1:], printed[n:]) for n in range(len(printed) + 1))
    return bool(printed) and printed[0] == shown[0] and is_shown(shown[1:], printed[1:])


@pytest.mark.parametrize(("command", "shown"), list(examples()))
def test_the_output_is_the_one_that_is_shown(
    command: str,
    shown: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(command.split()) == 0
    printed = capsys.readouterr().out
    assert is_shown(shown.splitlines(), printed.splitlines()), printed


def test_an_output_that_differs_is_seen() -> None:
    assert is_shown(["a", "...", "c"], ["a", "b", "c"])
    assert not is_shown(["a", "...", "d"], ["a", "b", "c"])
    assert not is_shown(["a"], ["a", "b"])


def test_what_the_page_names_exists_and_nothing_is_missing() -> None:
    for name in (*GENERATIONS, *POLICIES, *(name for name in BACKFILLS if name != "none")):
        assert f"`{name}`" in PAGE, f"say in docs/howto/simulate.md that there is {name}"
    for column in COLUMNS:
        assert f"`{column}`" in PAGE, f"say in docs/howto/simulate.md that there is {column}"
    assert len(read_nodes("25x32c128g,4x64c256g8gpu+ssd")) == 29
    (scenario,) = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(read_scenario(scenario).failures) == 1
