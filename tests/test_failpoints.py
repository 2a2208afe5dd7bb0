"""The crash points: what arms them, what they do, and that none of them rots."""

import ast
import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.master.test_effects import EXECUTIONS, Stage, instance
from tests.master.virtual import VirtualLoop, run

from stack import until
from zoe import failpoints
from zoe.failpoints import POINTS, REPEATABLE, Injected
from zoe.model.resources import Resources
from zoe.scheduler.decisions import ResizeInstance, StartInstance
from zoe.settings import Settings, SettingsInvalid, load_settings

SOURCES = Path(__file__).parents[1] / "src/zoe"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "failpoints"
    failpoints.arm("", tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cp7:kill", "there is no failpoint 'cp7': did you mean cp"),
        ("cp07", "'cp07' is not a point and what happens there, as cp07:kill"),
        ("cp07:die", "with kill, stop, raise, delay:3s or dup"),
        ("cp07:delay", "'cp07:delay' is not"),
        ("cp07:delay:soon", "'soon' is not a length of time"),
        ("cp07:kill, cp07:stop", "cp07 is there twice"),
        ("cp07:dup", "nothing is sent at cp07 that could be sent twice; that is so at cp03"),
    ],
)
def test_what_cannot_be_armed_is_refused_at_the_start(text: str, words: str) -> None:
    with pytest.raises(SettingsInvalid) as refusal:
        load_settings({}, {"ZOE_FAILPOINT": text}, [])
    assert words in str(refusal.value)
    assert "ZOE_FAILPOINT" in str(refusal.value)


def test_a_program_refuses_a_wrong_one_in_words(tmp_path: Path) -> None:
    environment = {"ZOE_FAILPOINT": "cp99:kill", "HOME": str(tmp_path)}
    for program in ("zoe.master.main", "zoe.api.main"):
        ended = subprocess.run(
            [sys.executable, "-m", program], env=environment, capture_output=True, text=True
        )
        assert ended.returncode == 1
        assert "there is no failpoint 'cp99'" in ended.stderr
        assert "Traceback" not in ended.stderr


async def test_it_fires_once_in_a_deployment_until_it_is_armed_again(folder: Path) -> None:
    failpoints.arm("cp05:raise", folder)
    with pytest.raises(Injected, match="cp05 fails: master: instances are planned"):
        await failpoints.reach("cp05")
    await failpoints.reach("cp05")
    failpoints.arm("cp05:raise", folder)  # as the next master does
    await failpoints.reach("cp05")
    (folder / "cp05").unlink()
    await failpoints.reach("cp06")
    with pytest.raises(Injected):
        failpoints.reach_now("cp05")


def test_what_is_not_armed_does_nothing(folder: Path) -> None:
    for point in POINTS:
        asyncio.run(failpoints.reach(point))
        failpoints.reach_now(point)
    assert not folder.exists()
    assert failpoints.armed() == ""


async def test_a_delay_lets_the_others_go_on(folder: Path) -> None:
    failpoints.arm("cp05:delay:100ms", folder)
    loop = asyncio.get_running_loop()
    began = loop.time()
    waits = asyncio.create_task(failpoints.reach("cp05"))
    await asyncio.sleep(0)
    assert not waits.done()
    await waits
    assert loop.time() - began >= 0.1


PROGRAM = """
import sys
from pathlib import Path
from zoe import failpoints
failpoints.arm(sys.argv[1], Path(sys.argv[2]))
failpoints.reach_now("cp08")
print("goes on")
"""


def test_kill_kills_and_stop_stops(folder: Path) -> None:
    def begin(text: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", PROGRAM, text, str(folder)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    with begin("cp08:kill") as killed:
        out, err = killed.communicate(timeout=30)
    assert (killed.returncode, out) == (-signal.SIGKILL, "")
    assert "failpoint cp08, kill: back-end: an instance is created" in err
    (folder / "cp08").unlink()
    with begin("cp08:stop") as stopped:
        state = Path(f"/proc/{stopped.pid}/stat")
        until(lambda: state.read_text().rpartition(")")[2].split()[0] == "T")
        os.kill(stopped.pid, signal.SIGCONT)
        out, _ = stopped.communicate(timeout=30)
    assert (stopped.returncode, out) == (0, "goes on\n")


def test_a_call_that_is_made_twice_is_carried_out_once(folder: Path) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        failpoints.arm("cp06:dup", folder)
        calls: list[str] = []
        stage = Stage(loop, lambda call, _: calls.append(call))
        stage.effects.begin([StartInstance(instance())], EXECUTIONS)
        await stage.settle()
        assert calls == ["start", "start"]
        assert stage.engine.launches.keys() == {("1/f.s/0", 1)}
        assert (stage.events, stage.bugs) == ([], [])

    run(scenario)
    assert (folder / "cp06").exists()


def test_the_point_before_other_limits_is_reached(folder: Path) -> None:
    """No plan of today changes the limits of an instance, so only this test comes there."""

    async def scenario(loop: VirtualLoop) -> None:
        failpoints.arm("cp10:raise", folder)
        stage = Stage(loop)
        stage.effects.begin([ResizeInstance("1/f.s/0", 1, Resources(500))], EXECUTIONS)
        await stage.settle()
        (bug,) = stage.bugs
        assert isinstance(bug, Injected)

    run(scenario)


def test_every_point_is_in_the_code_and_in_the_docs() -> None:
    """That each is also come by is what the crash matrix in tests/e2e shows."""
    calls: dict[str, list[ast.Call]] = {}
    for source in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Constant) and node.value in POINTS:
                calls.setdefault(str(node.value), [])
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("failpoints.reach"):
                point = node.args[0]
                if isinstance(point, ast.Constant):
                    assert point.value in POINTS, f"{source} has a point that nobody can arm"
                    calls.setdefault(point.value, []).append(node)
    assert calls.keys() == POINTS.keys()
    for point in REPEATABLE:
        assert any(len(call.args) == 2 for call in calls[point]), f"{point} cannot be repeated"
    page = (SOURCES.parents[1] / "docs/reference/failpoints.md").read_text()
    for point, said in POINTS.items():
        assert f"| `{point}` | {said} |" in page


def test_the_marks_lie_beside_what_else_runs(tmp_path: Path) -> None:
    assert Settings(data_dir=tmp_path).failpoints_dir == tmp_path / "run/failpoints"
