"""Whatever happens, in whatever order: the scheduler keeps its promises.

A world of users, a back-end and a store plays against the scheduler. Effects are carried out late,
in any order, twice, or never (the message is lost, and the next look at the back-end finds out);
the master crashes, before or after its effects, and starts again from what was recorded. The
oracles here and in ``check_invariants`` use none of the scheduler's own arithmetic.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rehearsal import scheduler_of
from zoe.model.change import Defer, Forget, SetInstance, SetStatus
from zoe.model.cluster import Node, NodeStatus, Observation, ObservedInstance
from zoe.model.execution import (
    ENDED,
    EXECUTION_TRANSITIONS,
    INSTANCE_TRANSITIONS,
    Desired,
    Execution,
    ExecutionStatus,
    Exit,
    ExitReason,
    InstanceStatus,
    ServiceInstance,
)
from zoe.model.quota import Accounts, Quota, Team, User
from zoe.model.resources import NOTHING, Resources
from zoe.model.tree import requirements
from zoe.model.zapp import Condition, Framework, Kind, RestartPolicy, Service, ZApp
from zoe.scheduler.decisions import Decision, StartInstance, StopInstance
from zoe.scheduler.events import (
    Event,
    ExecutionSubmitted,
    InstanceReady,
    InstanceStarted,
    InstanceStopped,
    NodesObserved,
    ScaleRequested,
    SharesSet,
    StartFailed,
    StopFailed,
    TerminationRequested,
    WokeUp,
)
from zoe.scheduler.invariants import check_invariants, over_quota
from zoe.scheduler.reconcile import differences, reconcile
from zoe.scheduler.snapshot import thaw
from zoe.sim.forecast import Bounds, forecast

GIB = 1024**3
LIVE = (InstanceStatus.STARTING, InstanceStatus.RUNNING, InstanceStatus.STOPPING)


def random_zapp(chance: random.Random) -> ZApp:
    """A chain of one to three services with a monitor at its end, or without one."""
    services = []
    for number in range(chance.randint(1, 3)):
        needs = {}
        if services and chance.random() < 0.7:
            needs[chance.choice(services).name] = chance.choice(list(Condition)[:2])
        services.append(
            Service(
                f"s{number}",
                resources=Resources(chance.choice((500, 1000, 2000)), chance.choice((0, 1)) * GIB),
                essential=chance.choice((1, 1, 1, 2, 3)),
                elastic=chance.choice((0, 0, 1, 2, 4)),
                depends_on=needs,
                labels=("ssd",) if chance.random() < 0.1 else (),
                spread=chance.random() < 0.1,
                restart=RestartPolicy(chance.choice(("never", "on-failure")), 2, 3.0),
            )
        )
    if chance.random() < 0.8:
        services[-1] = replace(services[-1], monitor=True)
    limit = chance.choice((None, None, 30.0))
    return ZApp("app", Kind.BATCH, (Framework("f", tuple(services)),), limit)


def random_quota(chance: random.Random) -> Quota:
    """Mostly tight, so that it holds something back."""
    return Quota(
        cores_milli=chance.choice((None, 1000, 2000, 3500, 6000)),
        memory_bytes=chance.choice((None, None, GIB, 2 * GIB)),
        executions=chance.choice((None, None, 1, 2)),
        sessions=chance.choice((None, None, 0, 1)),
        run_seconds=chance.choice((None, None, 20.0, 40.0)),
    )


def holdings(executions: Mapping[int, Execution]) -> dict[int, object]:
    """What has to be the same in the scheduler and in the store."""
    return {
        key: (value.status, {one.id: one for one in value.instances})
        for key, value in executions.items()
    }


@dataclass
class Container:
    """What a back-end has of one attempt."""

    node: str
    status: InstanceStatus = InstanceStatus.RUNNING
    ready: bool = False
    exit: Exit | None = None


class World:
    """Users, back-end and store; ``chance`` decides everything."""

    def __init__(self, seed: int, options: dict[str, object]) -> None:
        self.chance = random.Random(seed)
        self.lot = random.Random(seed)
        """Says who shares what: apart, so that a world is the same with and without quotas."""
        self.whim = random.Random(seed)
        """Says when somebody asks for a forecast."""
        self.options = {key: value for key, value in options.items() if key != "quotas"}
        self.sharing = options.get("quotas")
        """True: with quotas, ``guarantees``: with a guaranteed share instead."""
        options = self.options
        self.scheduler = scheduler_of(**options)
        self.now = 1000.0
        self.take_backs: list[tuple[int, int]] = []
        """From whom, for whom, since this was last looked at."""
        self.store: dict[int, Execution] = {}
        self.ever: dict[int, Execution] = {}
        self.stopped_by_user: set[int] = set()
        self.containers: dict[tuple[str, int], Container] = {}
        self.pending: list[Decision] = []
        self.inbox: list[Event] = []
        self.next_id = 1
        self.nodes = tuple(
            Node(
                f"n{number}",
                Resources(self.chance.randint(1, 6) * 1000, 8 * GIB),
                labels=frozenset({"ssd"} if number == 0 else ()),
            )
            for number in range(self.chance.randint(1, 3))
        )
        self.shrunk: set[str] = set()
        self.shares = Accounts()
        self.excess: dict[tuple[str, str, str], int] = {}
        """What is used of quotas that were lowered: it only gets less."""
        self.story: list[str] = []
        self.faults = True
        self.tell(NodesObserved(self.nodes))

    # The store: it records, and judges each change on its own.

    def tell(self, event: Event, *, judged: bool = True) -> None:
        """Hand an event to the scheduler; record its decisions, and keep its effects for later."""
        self.story.append(f"{self.now:g} {event}")
        before = dict(self.store)
        for decision in self.scheduler.handle(event, self.now):
            self.story.append(f"        {decision}")
            match decision:
                case SetStatus():
                    self.record_status(decision)
                case SetInstance(instance):
                    self.record_instance(instance)
                    cause = decision.cause
                    if cause is not None and cause.for_execution is not None:
                        self.take_backs.append((instance.execution_id, cause.for_execution))
                case Defer(execution_id):
                    assert self.store[execution_id].status is ExecutionStatus.QUEUED
                    assert decision.reasons
                    assert decision.queue_position >= 1
                case Forget(execution_id):
                    assert self.store.get(execution_id) is None
                case StartInstance() | StopInstance():
                    self.pending.append(decision)
                case _:
                    pass
        if judged:
            self.check_overdraft(before)
            generation = self.options.get("generation", "flexible")
            works = generation == "flexible" and self.options.get("reclaim", True)
            now = self.now if works else None  # the others may leave room unused
            excess = over_quota(self.store.values(), self.shares)
            if not isinstance(event, SharesSet):
                assert all(self.excess.get(key, 0) >= used for key, used in excess.items())
            self.excess = excess
            check_invariants(
                self.scheduler, now, shrunk=frozenset(self.shrunk), lowered=frozenset(excess)
            )
            assert holdings(self.scheduler.executions) == holdings(self.store)
            if self.options.get("policy") == "fair":
                self.check_guarantee()
            if self.whim.random() < 0.03:
                self.check_forecast()

    def check_guarantee(self) -> None:
        """Others took back nothing of what the team is guaranteed."""
        taken, self.take_backs = self.take_backs, []
        team = self.shares.team("t")
        by_others = any(
            self.store[loser].team == "t" and self.store[winner].team != "t"
            for loser, winner in taken
        )
        if team is None or team.guaranteed == NOTHING or not by_others:
            return
        guaranteed = team.guaranteed
        kept = [
            execution.zapp.service(each.service).resources
            for execution in self.store.values()
            if execution.team == "t"
            for each in execution.instances
            if each.status in (*LIVE[:2], InstanceStatus.WAITING)
        ]
        total = sum(kept, NOTHING)
        assert (
            total.cores_milli >= guaranteed.cores_milli > 0
            or total.memory_bytes >= guaranteed.memory_bytes > 0
        )

    def check_forecast(self) -> None:
        """What a forecast is made of knows all that the scheduler does, and changes nothing."""
        snapshot = self.scheduler.snapshot(self.now, 100)
        if self.options.get("policy", "fifo") == "fifo":  # the order of others changes with time
            assert not thaw(snapshot.planner).plan(self.now).grants
        found = forecast(snapshot, None, random.Random(0), Bounds(samples=2, ends=20))
        assert all((each.p50 or self.now) >= self.now for each in found.values())
        assert holdings(self.scheduler.executions) == holdings(self.store)

    def record_status(self, change: SetStatus) -> None:
        execution = self.store[change.execution_id]
        assert change.status in EXECUTION_TRANSITIONS[execution.status]
        if change.status is ExecutionStatus.STARTING:
            assert execution.id not in self.stopped_by_user, "stop always wins"
        started = execution.started_at
        if change.status is ExecutionStatus.STARTING:
            started = self.now
            limit = execution.zapp.time_limit_seconds or change.time_limit_seconds
            quotas = self.shares.quotas_of(execution.owner, execution.team)
            assert all((limit or 1e9) <= (quota.run_seconds or 1e9) for _, quota in quotas)
            execution = replace(execution, time_limit_seconds=change.time_limit_seconds)
        changed = replace(
            execution, status=change.status, started_at=started, end=change.end or execution.end
        )
        if change.status in ENDED:
            assert changed.end is not None
            assert not any(one.is_placed for one in changed.instances)
            del self.store[execution.id]
        else:
            self.store[execution.id] = changed
        self.ever[execution.id] = changed

    def record_instance(self, instance: ServiceInstance) -> None:
        execution = self.store[instance.execution_id]
        instances = {one.id: one for one in execution.instances}
        old = instances.get(instance.id)
        if old is not None:
            assert (
                old.status is instance.status or instance.status in INSTANCE_TRANSITIONS[old.status]
            )
            assert instance.attempt >= old.attempt
            if instance.status is InstanceStatus.WAITING:
                assert instance.attempt == old.attempt + 1
        else:
            assert instance.status is InstanceStatus.WAITING
        if instance.status is InstanceStatus.STARTING:
            assert old is not None
            assert old.status is InstanceStatus.WAITING
            assert instance.not_before <= self.now
            assert execution.status in (ExecutionStatus.STARTING, ExecutionStatus.RUNNING)
            self.check_requirements(execution, instance)
        instances[instance.id] = instance
        self.store[execution.id] = replace(execution, instances=tuple(instances.values()))

    def check_requirements(self, execution: Execution, instance: ServiceInstance) -> None:
        for needed, condition in requirements(execution.zapp)[instance.service]:
            for one in execution.instances:
                if one.service == needed and one.essential:
                    done = one.exit is not None and one.exit.reason is ExitReason.COMPLETED
                    assert done or one.status is InstanceStatus.RUNNING
                    assert done or condition is not Condition.READY or one.ready

    def check_overdraft(self, before: dict[int, Execution]) -> None:
        """A node that is overdrawn because it shrank gets nothing more."""
        had = {
            (one.id, one.attempt)
            for execution in before.values()
            for one in execution.instances
            if one.is_placed
        }
        self.shrunk = {n.name for n in self.nodes if n.name in self.shrunk and self.is_overdrawn(n)}
        for execution in self.store.values():
            for one in execution.instances:
                if one.is_placed and (one.id, one.attempt) not in had and one.node in self.shrunk:
                    keeps_its_room = (one.id, one.attempt - 1) in had
                    assert keeps_its_room, f"{one.id} was placed on {one.node}, which is overdrawn"

    def is_overdrawn(self, node: Node) -> bool:
        held = [
            execution.zapp.service(one.service).resources
            for execution in self.store.values()
            for one in execution.instances
            if one.is_placed and one.node == node.name
        ]
        return (
            sum(each.cores_milli for each in held) > node.capacity.cores_milli
            or sum(each.memory_bytes for each in held) > node.capacity.memory_bytes
        )

    # What may happen.

    def submit(self) -> None:
        execution = Execution(
            self.next_id,
            f"e{self.next_id}",
            self.lot.choice("uv"),
            replace(
                random_zapp(self.chance),
                kind=self.lot.choice((Kind.BATCH, Kind.BATCH, Kind.INTERACTIVE)),
            ),
            self.now,
            team=self.lot.choice(("", "t")),
        )
        self.next_id += 1
        self.store[execution.id] = self.ever[execution.id] = execution
        self.tell(ExecutionSubmitted(execution))
        if self.chance.random() < 0.1:
            self.tell(ExecutionSubmitted(execution))

    def terminate(self) -> None:
        if self.ever:
            execution_id = self.chance.choice(sorted(self.ever))
            if execution_id in self.store:
                desired = Desired.STOP
                self.store[execution_id] = replace(self.store[execution_id], desired=desired)
            self.stopped_by_user.add(execution_id)
            self.tell(TerminationRequested(execution_id, "u"))

    def scale(self) -> None:
        if self.store:
            execution = self.store[self.chance.choice(sorted(self.store))]
            name = self.chance.choice([name for name, _ in execution.zapp.services()])
            count = self.chance.randint(0, 5)
            elastic = {**execution.elastic, name: count}
            self.store[execution.id] = replace(execution, elastic=elastic)
            self.tell(ScaleRequested(execution.id, name, count))

    def act(self) -> None:
        """Carry out one effect; its message may be lost, doubled, or say the wrong thing."""
        if not self.pending:
            return
        effect = self.pending.pop(self.chance.randrange(min(3, len(self.pending))))
        chance = self.chance.random() if self.faults else 1.0
        if isinstance(effect, StartInstance):
            self.start(effect.instance, chance)
        elif isinstance(effect, StopInstance):
            self.stop(effect, chance)

    def start(self, instance: ServiceInstance, chance: float) -> None:
        key = (instance.id, instance.attempt)
        if chance < 0.1:
            self.inbox.append(StartFailed(*key, "busy", True))
        elif chance < 0.13:
            self.inbox.append(StartFailed(*key, "no such image", False))
        elif any(n.name == instance.node for n in self.nodes) and key not in self.containers:
            self.containers[key] = Container(instance.node)
            if chance > 0.2:
                self.inbox.append(InstanceStarted(*key, "10.0.0.1"))
            if chance > 0.95 and self.faults:
                self.inbox.append(StartFailed(*key, "no answer, but it did start", True))

    def stop(self, effect: StopInstance, chance: float) -> None:
        key = (effect.instance_id, effect.attempt)
        if chance < 0.1:
            self.inbox.append(StopFailed(*key, "no answer"))
        elif (container := self.containers.get(key)) is not None:
            self.end(key, container, Exit(ExitReason.STOPPED), loud=chance > 0.3)

    def end(self, key: tuple[str, int], container: Container, exit: Exit, *, loud: bool) -> None:
        if container.status is InstanceStatus.STOPPED:
            return
        container.status, container.ready, container.exit = InstanceStatus.STOPPED, False, exit
        if loud:
            self.inbox.append(InstanceStopped(*key, exit))

    def become_ready(self) -> None:
        waiting = [
            (key, each)
            for key, each in self.containers.items()
            if each.status is InstanceStatus.RUNNING and not each.ready
        ]
        for key, container in self.chance.sample(waiting, min(2, len(waiting))):
            container.ready = True
            self.inbox.append(InstanceReady(*key))

    def exit(self) -> None:
        alive = [
            (key, each)
            for key, each in self.containers.items()
            if each.status is InstanceStatus.RUNNING
        ]
        if alive:
            key, container = self.chance.choice(alive)
            exit = Exit(ExitReason.COMPLETED, code=0)
            if self.faults and self.chance.random() < 0.5:
                reason = self.chance.choice((ExitReason.FAILED, ExitReason.OUT_OF_MEMORY))
                exit = Exit(reason, code=1)
            self.end(key, container, exit, loud=self.chance.random() > 0.2)

    def deliver(self) -> None:
        """Hand one message over: a late one, or one twice."""
        if self.inbox:
            event = self.inbox.pop(self.chance.randrange(len(self.inbox)))
            self.tell(event)
            if self.faults and self.chance.random() < 0.1:
                self.inbox.append(event)

    def set_shares(self, shares: Accounts | None = None) -> None:
        """Have other quotas from now on; none at all without chance's will."""
        if shares is None:
            some = [User(name, quota=random_quota(self.lot)) for name in ("u", "default")]
            users = {each.name: each for each in some if self.lot.random() < 0.7}
            guaranteed = Resources(self.lot.choice((0, 2000, 4000)), self.lot.choice((0, 0, GIB)))
            weight = self.lot.choice((0.5, 1.0, 3.0))
            team = Team("t", weight, guaranteed, quota=random_quota(self.lot))
            if self.sharing == "guarantees":
                users, team = {}, replace(team, guaranteed=Resources(2500), quota=Quota())
            shares = Accounts(users, {"t": team})
        self.shares = shares
        self.tell(SharesSet(shares))

    def change_nodes(self) -> None:
        nodes = list(self.nodes)
        number = self.chance.randrange(len(nodes))
        node = nodes[number]
        match self.chance.randrange(4):
            case 0:
                status = self.chance.choice(list(NodeStatus))
                nodes[number] = replace(node, status=status)
            case 1:
                cores = self.chance.randint(1, 6) * 1000
                nodes[number] = replace(node, capacity=Resources(cores, 8 * GIB))
            case 2 if len(nodes) > 1:
                del nodes[number]
            case _:
                names = {each.name for each in nodes}
                name = next(f"n{i}" for i in range(9) if f"n{i}" not in names)
                nodes.append(Node(name, Resources(4000, 8 * GIB), labels=frozenset({"ssd"})))
        self.set_nodes(tuple(nodes))

    def set_nodes(self, nodes: tuple[Node, ...]) -> None:
        self.nodes = nodes
        names = {node.name for node in nodes}
        for key, container in list(self.containers.items()):
            if container.node not in names:
                del self.containers[key]
        self.shrunk |= {node.name for node in nodes if self.is_overdrawn(node)}
        self.shrunk &= names
        self.tell(NodesObserved(nodes))

    def observation(self) -> Observation:
        hidden = {n.name for n in self.nodes if n.status is NodeStatus.UNREACHABLE}
        return Observation(
            self.nodes,
            tuple(
                ObservedInstance(
                    *key, each.node, each.status, each.ready, "10.0.0.1", exit=each.exit
                )
                for key, each in self.containers.items()
                if each.node not in hidden
            ),
        )

    def look(self) -> None:
        busy = {
            each.instance.id if isinstance(each, StartInstance) else each.instance_id
            for each in self.pending
            if isinstance(each, StartInstance | StopInstance)
        }
        executions = list(self.scheduler.executions.values())
        for event in differences(executions, self.observation(), ignore=frozenset(busy)):
            self.tell(event)
        for key, container in list(self.containers.items()):
            if container.status is InstanceStatus.STOPPED and not self.is_recorded(key):
                del self.containers[key]

    def is_recorded(self, key: tuple[str, int]) -> bool:
        return any(
            (one.id, one.attempt) == key and one.is_placed
            for execution in self.store.values()
            for one in execution.instances
        )

    def crash(self) -> None:
        """The master dies with what it had not done yet, and another one takes over."""
        self.story.append("crash")
        self.pending.clear()
        self.inbox.clear()
        self.scheduler = scheduler_of(**self.options)
        self.tell(SharesSet(self.shares), judged=False)
        events = reconcile(list(self.store.values()), self.observation())
        for event in events[:-1]:  # it knows everything, and is judged, when it has read them all
            self.tell(event, judged=False)
        self.tell(events[-1])

    def wait(self) -> None:
        self.now += self.chance.choice((0.5, 1.0, 5.0, 20.0))
        wake = self.scheduler.next_wake
        if wake is not None and wake <= self.now:
            self.tell(WokeUp())

    def live(self, steps: int) -> None:
        happenings: dict[Callable[[], None], int] = {
            self.submit: 6,
            self.terminate: 2,
            self.scale: 2,
            self.act: 30,
            self.become_ready: 12,
            self.exit: 5,
            self.deliver: 30,
            self.change_nodes: 1,
            self.set_shares: 2 if self.sharing else 0,
            self.look: 2,
            self.crash: 1,
            self.wait: 5,
        }
        chosen = self.chance.choices(list(happenings), list(happenings.values()), k=steps)
        for happening in chosen:
            happening()

    def settle(self) -> None:
        """No more faults, and room for everybody: everything must come to its end."""
        self.faults = False
        self.set_shares(Accounts())
        big = Resources(10_000, 64 * GIB)
        count = 20 if self.options.get("generation") == "rigid" else 3
        spare = [Node(f"spare{n}", big, labels=frozenset({"ssd"})) for n in range(count)]
        ready = [replace(each, status=NodeStatus.READY) for each in self.nodes]
        self.set_nodes((*ready, *spare))
        for _ in range(400):
            self.look()
            for _ in range(50):
                self.act()
                self.become_ready()
                self.deliver()
            self.now += 61.0
            self.tell(WokeUp())
            if not self.inbox and not self.pending:
                self.exit()
            if not self.store:
                return
        raise AssertionError(f"it does not come to an end: {list(self.store.values())}")


def play(seed: int, options: dict[str, object], steps: int) -> World:
    world = World(seed, options)
    try:
        world.live(steps)
        world.settle()
    except Exception as error:
        error.add_note("\n".join(["the story so far:", *world.story[-60:]]))
        raise
    for execution_id, execution in world.ever.items():
        assert execution.end is not None
        if execution_id not in world.stopped_by_user:
            assert execution.end.outcome.value != "stopped"
    return world


OPTIONS = [
    {"generation": "flexible", "policy": "fifo"},
    {"policy": "fair", "half_life_seconds": 100.0},
    {"generation": "flexible", "policy": "size2d", "start_attempts": 2, "elastic_attempts": 1},
    {"policy": "srpt", "backfill": "none", "patience_seconds": 60.0},
    {"policy": "hrrn", "reclaim": False, "backfill_depth": 2},
    {"generation": "published"},
    {"generation": "malleable"},
    {"generation": "rigid"},
    {"quotas": True},
    {"reclaim": False, "quotas": True},
    {"backfill": "conservative", "quotas": True},
    {"policy": "fair", "half_life_seconds": 100.0, "quotas": True},
    {"policy": "fair", "grant_seconds": 20.0, "reclaim_per_hour": 2, "quotas": True},
    {"policy": "fair", "quotas": "guarantees"},
    {"generation": "published", "quotas": True},
    {"generation": "malleable", "quotas": True},
    {"generation": "rigid", "quotas": True},
]


EXAMPLES = settings.default.max_examples // 12
"""Each is a world of its own with hundreds of events."""


@pytest.mark.parametrize("options", OPTIONS, ids=lambda each: "-".join(map(str, each.values())))
@given(seed=st.integers(0, 1 << 32), steps=st.integers(0, 200))
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
def test_every_promise_holds_through_faults_and_crashes(
    options: dict[str, object], seed: int, steps: int
) -> None:
    play(seed, options, steps)


def test_the_world_is_eventful() -> None:
    """The oracle above judges something: most executions run, some fail, some are stopped."""
    ends = [
        execution.end.outcome.value
        for seed in range(6)
        for execution in play(seed, OPTIONS[0], 200).ever.values()
        if execution.end is not None
    ]
    assert {"completed", "failed", "stopped", "time-limit", "lost", "not-started"} <= set(ends)
    assert ends.count("completed") > len(ends) / 5


def test_the_same_story_gives_the_same_decisions() -> None:
    assert play(7, OPTIONS[0], 100).story == play(7, OPTIONS[0], 100).story
