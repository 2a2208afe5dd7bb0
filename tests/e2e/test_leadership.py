"""Two real masters: one leads, the other stands by, and what happens to the first harms nothing.

One is that of `zoe up`, the other is started by hand, at an address of its own. The ledger of the
applications tells what ran twice, the database what was written, the agent what was asked of it.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from living import birth
from living_world import NOTE, WORKER, World, ending, environment

from stack import deployment_in, until
from zoe.model.execution import Outcome

pytestmark = pytest.mark.timeout(300)

STARTING = ("cp05", "cp06", "cp07", "cp12")
ENDING = ("cp15", "cp16", "cp18")
LEASE_SECONDS = 2.0
TABLES = ("execution", "instance", "execution_event", "node", "balance")


class Masters:
    """The two masters of a deployment."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.logs = world.deployment.data_dir / "logs"
        self.second: subprocess.Popen[bytes] | None = None
        first = world.deployment.programs()["master"]
        text = environment(first).decode()
        self.variables = dict(each.split("=", 1) for each in text.split("\0") if each)
        self.variables["ZOE_MASTER_ENDPOINT"] = "tcp://127.0.0.1:0"

    def both(self) -> tuple[int, int]:
        """Return the process id of who leads and of who stands by, once there are both."""
        if self.second is None or self.second.poll() is not None:
            with (self.logs / "second.log").open("ab") as log:
                command = [sys.executable, "-P", "-m", "zoe.master.main"]
                self.second = subprocess.Popen(command, env=self.variables, stdout=log, stderr=log)
        leader, standby = until(self._known, what=self.world.deployment.logs)
        self.world.zoe.ready()
        return leader, standby

    def _known(self) -> tuple[int, int] | None:
        found = self.world.zoe.masters()
        if found.leader is None:
            return None
        leader = pid_in(found.leader.name)
        standby = [pid for pid in map(pid_in, found.standby) if birth(pid) and pid != leader]
        return (leader, standby[0]) if birth(leader) and standby else None

    def log_of(self, pid: int) -> str:
        is_second = self.second is not None and self.second.pid == pid
        return (self.logs / ("second.log" if is_second else "master.log")).read_text()

    def leads(self, pid: int) -> bool:
        """Whether this one leads, and the api talks to it."""
        found, ready = self.world.zoe.masters().leader, self.world.zoe.ready().master
        return (
            found is not None
            and pid_in(found.name) == pid
            and ready.up
            and ready.epoch == found.epoch
        )

    def database(self) -> psycopg.Connection[tuple[object, ...]]:
        url = (self.world.deployment.data_dir / "run/database_url").read_text()
        return psycopg.connect(url, autocommit=True)

    def contents(self) -> list[object]:
        """Return all that a master writes."""
        with self.database() as connection:
            return [
                connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2".encode()).fetchall()
                for table in TABLES
            ]

    def end(self) -> None:
        if self.second is not None:
            self.second.send_signal(signal.SIGCONT)
            self.second.terminate()
            self.second.wait(15)


def pid_in(name: str) -> int:
    return int(name.rpartition(":")[2])


@pytest.fixture(scope="module")
def masters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Masters]:
    settings = {
        "ZOE_FAILPOINT": ",".join(f"{point}:stop" for point in (*STARTING, *ENDING)),
        "ZOE_LEASE_SECONDS": f"{LEASE_SECONDS:g}",
        "ZOE_STOP_GRACE_SECONDS": "30",
        "ZOE_FORECAST_DEPTH": "0",
        "ZOE_SAMPLE_SECONDS": "0",
    }
    with deployment_in(tmp_path_factory.mktemp("leadership"), **settings) as deployment:
        deployment.zoe("up", "--detach")
        deployment.workspace.mkdir(parents=True)
        shutil.copy(Path(__file__).with_name("living.py"), deployment.workspace)
        with deployment.client() as zoe:
            world = World(deployment, zoe)
            world.disarm()
            found = Masters(world)
            try:
                yield found
            finally:
                found.end()


def say(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{text}")


def test_doctor_tells_who_leads_and_who_stands_by(masters: Masters) -> None:
    leader, standby = masters.both()
    said = masters.world.deployment.zoe("doctor")
    assert f":{leader} leads since 20" in said
    assert f":{standby} stands by" in said


@pytest.mark.parametrize("turn", ["first", "second"])
def test_a_leader_that_is_killed_is_followed_at_once(
    masters: Masters, turn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    world = masters.world
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
    masters: Masters, point: str, capsys: pytest.CaptureFixture[str]
) -> None:
    world = masters.world
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
    slept = masters.log_of(leader).count("stops leading")

    os.kill(leader, signal.SIGCONT)
    until(
        lambda: masters.log_of(leader).count("stops leading") > slept,
        what=lambda: masters.log_of(leader),
    )
    until(lambda: masters.both() == (standby, leader))
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
    masters: Masters, capsys: pytest.CaptureFixture[str]
) -> None:
    world = masters.world
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
