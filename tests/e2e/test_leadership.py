"""Two real masters: one leads, the other stands by, and what happens to the first harms nothing.

The ledger of the applications tells what ran twice, the database what was written, the folder of
the agent what was asked of it.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator

import pytest
from living_world import NOTE, WORKER, World, ending, world_in

from stack import until
from two_masters import Masters, two_masters
from zoe.model.execution import Outcome

pytestmark = pytest.mark.timeout(300)

STARTING = ("cp05", "cp06", "cp07", "cp12")
ENDING = ("cp15", "cp16", "cp18")
LEASE_SECONDS = 2.0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    settings = {
        "ZOE_FAILPOINT": ",".join(f"{point}:stop" for point in (*STARTING, *ENDING)),
        "ZOE_LEASE_SECONDS": f"{LEASE_SECONDS:g}",
        "ZOE_STOP_GRACE_SECONDS": "30",
        "ZOE_FORECAST_DEPTH": "0",
        "ZOE_SAMPLE_SECONDS": "0",
    }
    with world_in(tmp_path_factory.mktemp("leadership"), **settings) as found:
        yield found


@pytest.fixture(scope="module")
def masters(world: World) -> Iterator[Masters]:
    with two_masters(world.deployment, world.zoe) as found:
        yield found


def say(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{text}")


def test_doctor_tells_who_leads_and_who_stands_by(world: World, masters: Masters) -> None:
    leader, standby = masters.both()
    said = world.deployment.zoe("doctor")
    assert f":{leader} leads since 20" in said
    assert f":{standby} stands by" in said


@pytest.mark.parametrize("turn", ["first", "second"])
def test_a_leader_that_is_killed_is_followed_at_once(
    world: World, masters: Masters, turn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    leader, standby = masters.both()
    id = world.running()
    before = world.pids(id)
    os.kill(leader, signal.SIGKILL)
    killed = time.time()
    note = world.zoe.submit(NOTE).id
    placed = until(lambda: world.ledger(note), what=world.deployment.logs) and time.time()
    until(lambda: masters.leads(standby), what=world.deployment.logs)
    known = time.time()
    say(
        capsys,
        f"kill -9: the next instance runs after {placed - killed:.2f} s, the api asks the new "
        f"leader after {known - killed:.2f} s",
    )
    assert world.pids(id) == before, "nothing was touched"
    assert ending(world.end(note)) == (Outcome.COMPLETED, 0)
    os.kill(before[f"{WORKER}/1", 1], signal.SIGKILL)
    until(lambda: (f"{WORKER}/1", 2) in world.pids(id), what=lambda: world.story(id))
    world.write("done", id)
    assert ending(world.end(id)) == (Outcome.COMPLETED, 0)
    for each in (id, note):
        world.check_ledger(each)


@pytest.mark.parametrize("point", [*STARTING, *ENDING])
def test_a_leader_that_falls_asleep_harms_nothing_when_it_wakes_up(
    world: World, masters: Masters, point: str, capsys: pytest.CaptureFixture[str]
) -> None:
    leader, standby = masters.both()
    if point in STARTING:
        world.arm(point)
        id = world.submit("open")
    else:
        id = world.running()
        world.arm(point)
        world.write("done", id)
    mark = world.marks / point
    until(mark.exists, what=world.deployment.logs)
    until(lambda: masters.leads(standby), what=world.deployment.logs)
    say(capsys, f"{point}: another one leads {time.time() - mark.stat().st_mtime:.1f} s after")
    if point in STARTING:
        world.all_alive(id)
        world.write("done", id)
    assert ending(world.end(id)) == (Outcome.COMPLETED, 0)
    until(lambda: not kept(world, id), what=lambda: kept(world, id))
    epoch = world.zoe.ready().master.epoch
    before = masters.contents()
    masters.wake(leader)
    assert masters.contents() == before, "the one that slept has written something"
    assert not kept(world, id), "the one that slept has started something"
    assert not world.pids(id)
    world.check_ledger(id)
    assert {each["attempt"] for each in world.ledger(id)} == {1}
    assert world.zoe.ready().master.epoch == epoch


def kept(world: World, id: int) -> list[str]:
    """Return what the agent keeps of an execution."""
    return [str(each) for each in (world.deployment.data_dir / "instances").glob(f"{id}.*")]


def test_a_leader_whose_connections_are_ended_goes_on_or_is_followed(
    world: World, masters: Masters, capsys: pytest.CaptureFixture[str]
) -> None:
    masters.both()
    id = world.running()
    before = world.pids(id)
    for _ in range(3):
        with masters.database() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        cut = time.time()
        note = world.zoe.submit(NOTE).id
        until(lambda note=note: world.ledger(note), what=world.deployment.logs)
        say(capsys, f"connections ended: the next instance runs after {time.time() - cut:.2f} s")
        assert ending(world.end(note)) == (Outcome.COMPLETED, 0)
        world.check_ledger(note)
    assert world.pids(id) == before, "nothing was touched"
    world.write("done", id)
    assert ending(world.end(id)) == (Outcome.COMPLETED, 0)
    world.check_ledger(id)
    masters.both()
