"""The world that the scheduler is tried in: users, a back-end, and a master that crashes."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from judging_store import JudgingStore
from random_wishes import random_fittings, random_needs, random_quota, random_zapp

from rehearsal import scheduler_of
from zoe.model.cluster import Node, NodeMark, NodeStatus, Observation, ObservedInstance
from zoe.model.execution import (
    Desired,
    Execution,
    Exit,
    ExitReason,
    InstanceStatus,
    ServiceInstance,
)
from zoe.model.quota import Accounts, Quota, Team, User
from zoe.model.resources import Resources
from zoe.model.zapp import Kind
from zoe.scheduler.decisions import StartInstance, StopInstance
from zoe.scheduler.events import (
    BalancesRestored,
    Event,
    ExecutionSubmitted,
    InstanceReady,
    InstanceStarted,
    InstanceStopped,
    NodesMarked,
    NodesObserved,
    ScaleRequested,
    SharesSet,
    StartFailed,
    StopFailed,
    TerminationRequested,
    WokeUp,
)
from zoe.scheduler.reconcile import differences, reconcile

GIB = 1024**3


@dataclass
class Container:
    """What a back-end has of one attempt."""

    node: str
    status: InstanceStatus = InstanceStatus.RUNNING
    ready: bool = False
    exit: Exit | None = None
    gpus: tuple[str, ...] = ()


APART = ("quotas", "scales", "gpus", "images")
"""Options of the world, not of the scheduler."""


class World(JudgingStore):
    """Users and back-end; ``chance`` decides everything."""

    def __init__(self, seed: int, options: dict[str, object]) -> None:
        super().__init__(seed, {key: value for key, value in options.items() if key not in APART})
        self.chance = random.Random(seed)
        self.lot = random.Random(seed)
        """Says who shares what: apart, so that a world is the same with and without quotas."""
        self.sharing = options.get("quotas")
        """True: with quotas, ``guarantees``: with a guaranteed share instead."""
        self.with_gpus = bool(options.get("gpus"))
        self.with_images = bool(options.get("images"))
        self.scales = bool(options.get("scales"))
        """Whether users often change what is wanted, and set minimums."""
        self.containers: dict[tuple[str, int], Container] = {}
        self.inbox: list[Event] = []
        self.marks: tuple[NodeMark, ...] = ()
        self.next_id = 1
        self.nodes = tuple(
            Node(
                f"n{number}",
                Resources(self.chance.randint(1, 6) * 1000, 8 * GIB),
                labels=frozenset({"ssd"} if number == 0 else ()),
            )
            for number in range(self.chance.randint(1, 3))
        )
        self.nodes = tuple(map(self.fitted, self.nodes))
        self.faults = True
        self.tell(NodesObserved(self.nodes))

    def fitted(self, node: Node) -> Node:
        """Return the node with other GPUs and images, in a world that has any."""
        return random_fittings(self.lot, node, gpus=self.with_gpus, images=self.with_images)

    def submit(self) -> None:
        execution = Execution(
            self.next_id,
            f"e{self.next_id}",
            self.lot.choice("uv"),
            replace(
                random_needs(
                    self.lot,
                    random_zapp(self.chance),
                    gpus=self.with_gpus,
                    images=self.with_images,
                ),
                kind=self.lot.choice((Kind.BATCH, Kind.BATCH, Kind.INTERACTIVE)),
            ),
            self.now,
            team=self.lot.choice(("", "t")),
        )
        if self.scales:  # it was scaled before the master heard of it
            declared = {name: each.elastic for name, each in execution.zapp.services()}
            least = {name: self.lot.randint(0, most) for name, most in declared.items()}
            execution = replace(execution, elastic=declared, elastic_min=least)
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
            name, service = self.chance.choice(list(execution.zapp.services()))
            count = self.chance.randint(0, 5)
            least = self.lot.randint(0, min(count, service.elastic)) if self.scales else 0
            self.store[execution.id] = replace(
                execution,
                elastic={**execution.elastic, name: count},
                elastic_min={**execution.elastic_min, name: least},
            )
            if self.scales and self.lot.random() < 0.2:
                self.crash()  # it was committed, and the master did not hear of it
            else:
                self.tell(ScaleRequested(execution.id, name, count, least))

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
        elif (why := self.gpu_trouble(instance)) and key not in self.containers:
            self.inbox.append(StartFailed(*key, why, True))
        elif any(n.name == instance.node for n in self.nodes) and key not in self.containers:
            self.containers[key] = Container(instance.node, gpus=instance.gpus)
            if chance > 0.2:
                self.inbox.append(InstanceStarted(*key, "10.0.0.1"))
            if chance > 0.95 and self.faults:
                self.inbox.append(StartFailed(*key, "no answer, but it did start", True))

    def gpu_trouble(self, instance: ServiceInstance) -> str:
        """Return why a back-end could not give an instance its GPUs at this moment, if so."""
        there = {gpu for n in self.nodes if n.name == instance.node for gpu in n.gpu_ids}
        for each in self.containers.values():
            if each.node == instance.node and each.status is not InstanceStatus.STOPPED:
                there -= set(each.gpus)
        return "" if there >= set(instance.gpus) else "a GPU is gone, or not free yet"

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

    def mark_nodes(self) -> None:
        names = [node.name for node in self.nodes]
        marked = self.chance.sample(names, self.chance.randrange(len(names)))
        kinds = (NodeStatus.CORDONED, NodeStatus.DRAINING)
        self.marks = tuple(
            NodeMark(name, self.chance.choice(kinds), "ann") for name in sorted(marked)
        )
        self.tell(NodesMarked(self.marks))

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
                smaller = replace(node, capacity=Resources(cores, 8 * GIB), gpus=())
                nodes[number] = self.fitted(smaller)
            case 2 if len(nodes) > 1:
                del nodes[number]
            case _:
                names = {each.name for each in nodes}
                name = next(f"n{i}" for i in range(9) if f"n{i}" not in names)
                fresh = Node(name, Resources(4000, 8 * GIB), labels=frozenset({"ssd"}))
                nodes.append(self.fitted(fresh))
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
                    *key, each.node, each.status, each.ready, "10.0.0.1", each.exit, each.gpus
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
        self.tell(BalancesRestored(tuple(self.balances.values())), judged=False)
        self.tell(SharesSet(self.shares), judged=False)
        self.tell(NodesMarked(self.marks), judged=False)
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
            self.scale: 12 if self.scales else 2,
            self.act: 30,
            self.become_ready: 12,
            self.exit: 5,
            self.deliver: 30,
            self.change_nodes: 1,
            self.mark_nodes: 1,
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
        self.marks = ()
        self.tell(NodesMarked(()))
        big = Resources(10_000, 64 * GIB, 8 if self.with_gpus else 0)
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
                if not self.inbox and not self.pending:
                    break
            self.now += 61.0
            self.tell(WokeUp())
            for _ in range(3 if not self.inbox and not self.pending else 0):
                self.exit()
            if not self.store:
                return
        raise AssertionError(f"it does not come to an end: {list(self.store.values())}")
