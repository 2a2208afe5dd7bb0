"""The crash matrix: programs die at every crash point, and everything comes out as it must.

For each point an application with several instances is started, stopped (or ends) and deleted. The
program that comes by the point kills itself there (see ``zoe.failpoints``). Nobody helps: exactly
the right instances run, none twice, none is left over, and what was acknowledged is there once.

``ZOE_TEST_CRASHES=200`` plays so many random combinations of points as well; a failure names them.
"""

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from living import birth
from living_world import DRIVER, HEAD, WORKER, World, ending, world_in

from stack import until
from zoe.client import NotFound
from zoe.failpoints import POINTS
from zoe.model.execution import Outcome

CRASHES = int(os.environ.get("ZOE_TEST_CRASHES", "0"))
pytestmark = pytest.mark.timeout(300)  # many programs, on machines that may be busy

SMALL = "resources: {cores: 0.05, memory: 32MiB}"
AGAIN = "restart: {policy: on-failure, attempts: 20, backoff: 50ms}"
DOCUMENT = f"""\
zoe: 4
name: crossing
frameworks:
  cluster:
    services:
      head:
        {SMALL}
        {AGAIN}
        command: [python3, -IS, "${{workspace}}/living.py", head]
        ports: [{{name: Head, port: 7000, protocol: tcp}}]
        ready: {{tcp: {{port: 7000}}, interval: 50ms}}
      worker:
        {SMALL}
        {AGAIN}
        command: [python3, -IS, "${{workspace}}/living.py", worker]
        count: {{essential: 2, elastic: 1}}
        depends_on: {{head: ready}}
  main:
    depends_on: {{cluster: started}}
    services:
      driver:
        {SMALL}
        {AGAIN}
        command: [python3, -IS, "${{workspace}}/living.py", driver]
        monitor: true
"""
ALL = {f"{HEAD}/0", f"{DRIVER}/0", *(f"{WORKER}/{n}" for n in range(3))}

API = ("cp01", "cp02", "cp03")
AGENT = ("cp08", "cp09", "cp11")
"""Who watches over the instances dies here, and they with it: they run again."""
STARTING = (*API, "cp04", "cp05", "cp06", "cp07", *AGENT, "cp12", "cp13", "cp14")
ENDING = ("cp15", "cp16", "cp17", "cp18", "cp19", "cp20")
UNUSED = {"cp10"}
"""No plan changes the limits of an instance; tests/test_failpoints.py comes there."""
LIVES = [
    # What happens while it starts, and while it ends. The programs take turns, so that none dies so
    # often that `zoe up` gives it up; a submission is committed before the master plans anything.
    (("cp05",), "cp15"),
    (("cp01", "cp12"), "cp16"),
    (("cp08",), "cp17"),
    (("cp02", "cp13"), "cp18"),
    (("cp09",), "cp19"),
    (("cp07",), ""),
    (("cp03", "cp14"), "cp20"),
    (("cp11",), ""),
    (("cp06",), ""),
    (("cp04",), ""),
]
RANDOM = [random.Random(seed) for seed in range(CRASHES)]
MORE = [((dice.choice(STARTING),), dice.choice(ENDING)) for dice in RANDOM]
STEADY_SECONDS = 5.0
QUICK_DEATHS = 2
"""`zoe up` gives up what dies five times in a row within so long, and waits longer each time."""


class Crossing:
    """One application on its way through the points, and how long it took after each crash."""

    def __init__(self, world: World, deaths: Counter[str]) -> None:
        self.world = world
        self.deaths = deaths
        self.took: dict[str, float] = {}

    def arm(self, point: str) -> None:
        """Arm a point, once the programs have lived long enough to die again."""
        program = "api" if point in API else "master"

        def is_steady() -> bool:
            return age(self.world.deployment.programs()[program]) > STEADY_SECONDS

        if is_steady() or self.deaths[program] >= QUICK_DEATHS:
            until(is_steady)
            self.deaths[program] = 0
        self.deaths[program] += 1
        self.world.arm(point)

    def passes(self, points: Iterable[str], act: Callable[[], object]) -> None:
        """Do what comes by ``points``, and wait for what must come of it; take the time."""
        for point in points:
            self.arm(point)
        act()
        for point in points:
            mark = self.world.marks / point
            assert mark.exists(), f"nobody came by {point}"
            self.took[point] = time.time() - mark.stat().st_mtime

    def start(self) -> int:
        """Submit once, and wait until exactly the right instances run."""
        world = self.world
        self.id = world.zoe.submit(DOCUMENT).id
        world.write("open", self.id)
        until(self.is_whole, what=lambda: world.story(self.id))
        return self.id

    def is_whole(self) -> bool:
        living = self.world.pids(self.id)
        names = sorted(name for name, _ in living)
        told = {each.id.partition("/")[2] for each in self.world.alive(self.id)}
        return names == sorted(ALL) and told == ALL

    def end(self, by_its_user: bool) -> None:
        if by_its_user:
            self.world.zoe.stop(self.id)
        else:
            self.world.write("done", self.id)
        self.world.end(self.id)

    def kept(self) -> list[str]:
        """Return what the back-end keeps of it, and its output."""
        data = self.world.deployment.data_dir
        found = list((data / "instances").glob(f"{self.id}.*"))
        return [str(path) for path in found]

    def delete(self) -> None:
        self.world.zoe.remove(self.id)
        output = self.world.deployment.data_dir / f"logs/{self.id}"
        until(lambda: not self.is_known() and not output.exists(), what=lambda: output)

    def is_known(self) -> bool:
        try:
            self.world.zoe.show(self.id)
        except NotFound:
            return False
        return True

    def check(self, by_its_user: bool, attempts: bool) -> None:
        world = self.world
        found = world.zoe.show(self.id)
        wanted = (Outcome.STOPPED, None) if by_its_user else (Outcome.COMPLETED, 0)
        assert ending(found) == wanted, world.story(self.id)
        world.check_ledger(self.id)
        begun = {(e["instance"].partition("/")[2], e["attempt"]) for e in world.ledger(self.id)}
        assert {name for name, _ in begun} == ALL
        if not attempts:
            assert {attempt for _, attempt in begun} == {1}, world.story(self.id)
        until(lambda: not self.kept(), what=self.kept)


def age(pid: int | None) -> float:
    """Return for how many seconds a process has lived; 0: it does not."""
    if pid is None or not (ticks := birth(pid)):
        return 0.0
    up = float(Path("/proc/uptime").read_text().split()[0])
    return up - ticks / os.sysconf("SC_CLK_TCK")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    settings = {
        "ZOE_FAILPOINT": ",".join(f"{point}:kill" for point in POINTS),
        "ZOE_BACKOFF_SECONDS": "0.1",
        "ZOE_STOP_GRACE_SECONDS": "30",
    }
    with world_in(tmp_path_factory.mktemp("crashes"), **settings) as found:
        yield found


@pytest.fixture(scope="module")
def deaths() -> Counter[str]:
    """How often each program has died since it lived for long."""
    return Counter()


@pytest.fixture
def crossing(
    world: World, deaths: Counter[str], capsys: pytest.CaptureFixture[str]
) -> Iterator[Crossing]:
    found = Crossing(world, deaths)
    yield found
    with capsys.disabled():
        for point, seconds in found.took.items():
            sys.stdout.write(f"\n{point}: as it must be {seconds:.1f} s after the crash")


@pytest.mark.parametrize(("first", "last"), LIVES + MORE)
def test_programs_die_and_everything_comes_out_as_it_must(
    crossing: Crossing, first: tuple[str, ...], last: str
) -> None:
    world = crossing.world
    by_its_user = last != "cp15" and len(first) == 1
    before = {each.id for each in world.zoe.executions(all=True).items}
    crossing.passes(first, crossing.start)
    ends = {last} - {"", "cp20"}
    crossing.passes(ends, lambda: crossing.end(by_its_user))
    crossing.check(by_its_user, attempts=bool({*first, last} & set(AGENT)))
    after = {each.id for each in world.zoe.executions(all=True).items}
    assert after - before == {crossing.id}, "one submission, one execution"
    crossing.passes({last} - {"", *ends}, crossing.delete)


def test_the_master_dies_while_it_forgets_what_ran(crossing: Crossing) -> None:
    crossing.start()
    crossing.passes(["cp20"], crossing.delete)
    until(lambda: not crossing.kept(), what=crossing.kept)
    assert not crossing.world.pids(crossing.id)


def test_every_point_has_its_turn() -> None:
    assert {point for first, last in LIVES for point in (*first, last)} - {""} == (
        POINTS.keys() - UNUSED
    )
