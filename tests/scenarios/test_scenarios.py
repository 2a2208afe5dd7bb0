"""Runs the text scenarios of this folder: commands, and below each what the scheduler decided.

``ZOE_REWRITE=1 pytest tests/scenarios`` writes the present output into the files; read the diff.
The invariants are checked after every command.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rehearsal import scheduler_of
from zoe.model.amounts import cores
from zoe.model.balance import Balance
from zoe.model.change import Defer, Forget, SetBalances, SetInstance, SetNodes, SetStatus
from zoe.model.cluster import Node, NodeStatus, Observation, ObservedInstance
from zoe.model.execution import (
    Desired,
    Execution,
    Exit,
    ExitReason,
    InstanceStatus,
    ServiceInstance,
)
from zoe.model.quota import Accounts, Quota, Team, User
from zoe.model.resources import NOTHING, Resources
from zoe.model.zapp import (
    Condition,
    Framework,
    Kind,
    RestartPolicy,
    Service,
    ShrinkHook,
    Speedup,
    ZApp,
)
from zoe.scheduler.decisions import Decision, ResizeInstance, StartInstance, StopInstance, WakeAt
from zoe.scheduler.events import (
    BalancesRestored,
    Event,
    ExecutionSubmitted,
    InstanceMissing,
    InstanceReady,
    InstanceStarted,
    InstanceStopped,
    NodesObserved,
    OrphanObserved,
    ScaleRequested,
    SharesSet,
    StartFailed,
    StopFailed,
    TerminationRequested,
    WokeUp,
)
from zoe.scheduler.invariants import check_invariants, over_quota
from zoe.scheduler.reconcile import differences, reconcile
from zoe.scheduler.scheduler import Scheduler

FOLDER = Path(__file__).parent
SCENARIOS = sorted(FOLDER.glob("*.txt"))
GIB = 1024**3


def read_resources(text: str) -> Resources:
    """Read ``2c/4g/1gpu``."""
    found = NOTHING
    for part in text.split("/"):
        number, unit = re.fullmatch(r"([0-9.]+)(c|g|gpu)", part).groups()  # type: ignore[union-attr]
        match unit:
            case "c":
                found += Resources(cores_milli=round(float(number) * 1000))
            case "g":
                found += Resources(memory_bytes=round(float(number) * GIB))
            case _:
                found += Resources(gpus=int(number))
    return found


def read_service(words: list[str]) -> tuple[str, Service]:
    """Read ``dask.worker 1c/2g 1+4 after=scheduler:ready monitor ...``."""
    framework, name = words[0].split(".")
    fields: dict[str, object] = {"resources": read_resources(words[1])}
    needs: dict[str, Condition] = {}
    for word in words[2:]:
        key, _, value = word.partition("=")
        match key:
            case "after":
                needed, _, condition = value.partition(":")
                needs[needed] = Condition(condition)
            case "monitor" | "spread":
                fields[key] = True
            case "image":
                fields[key] = value
            case "speedup":
                fields[key] = read_speedup(value)
            case "labels":
                fields["labels"] = tuple(value.split(","))
            case "grace":
                fields["shrink"] = ShrinkHook(grace_seconds=float(value))
            case "restart":
                fields["restart"] = RestartPolicy("on-failure", int(value), 10.0)
            case _:
                essential, _, elastic = word.partition("+")
                fields["essential"], fields["elastic"] = int(essential), int(elastic or 0)
    return framework, Service(name, depends_on=needs, **fields)  # type: ignore[arg-type]


def read_speedup(text: str) -> Speedup:
    """Read ``0.95`` or ``2:1.9+4:3``."""
    if ":" not in text:
        return Speedup(float(text))
    points = (point.split(":") for point in text.split("+"))
    return Speedup(points=tuple((int(count), float(speed)) for count, speed in points))


def read_zapp(name: str, lines: list[str], options: list[str]) -> ZApp:
    frameworks: dict[str, list[Service]] = {}
    needs: dict[str, dict[str, Condition]] = {}
    for line in lines:
        words = line.split()
        if words[0] == "framework":
            needed, _, condition = words[2].removeprefix("after=").partition(":")
            needs.setdefault(words[1], {})[needed] = Condition(condition)
            continue
        framework, service = read_service(words)
        frameworks.setdefault(framework, []).append(service)
    return ZApp(
        name,
        Kind.INTERACTIVE if "interactive" in options else Kind.BATCH,
        tuple(Framework(f, tuple(each), needs.get(f, {})) for f, each in frameworks.items()),
        next((float(o.removeprefix("limit=")) for o in options if o[:6] == "limit="), None),
    )


def read_shares(lines: list[str]) -> Accounts:
    """Read ``ann cores=4 teams=physics`` and ``team physics cores=8 guaranteed=4c/8g``."""
    users, teams = {}, {}
    for line in lines:
        name, *words = line.removeprefix("team ").split()
        given = dict(word.split("=") for word in words)
        names = {"cores": "cores_milli", "memory": "memory_bytes", "run": "run_seconds"}
        scale = {"cores": 1000, "memory": GIB}
        quota = Quota(
            **{
                names.get(key, key): int(value) * scale.get(key, 1)
                for key, value in given.items()
                if key not in ("teams", "guaranteed")
            }
        )
        if line.startswith("team "):
            guaranteed = read_resources(given["guaranteed"]) if "guaranteed" in given else NOTHING
            teams[name] = Team(name, guaranteed=guaranteed, quota=quota)
        else:
            named = tuple(given["teams"].split(",")) if "teams" in given else ()
            users[name] = User(name, named, quota=None if quota == Quota() else quota)
    return Accounts(users, teams)


def read_node(text: str) -> Node:
    """Read ``n1=8c/16g/2gpu,ssd,foreign:1c,gpus:a+b,images:x+y,unreachable:no route``."""
    name, _, rest = text.partition("=")
    size, *marks = rest.split(",")
    node = Node(name, read_resources(size))
    labels, status, message, foreign = set(), NodeStatus.READY, "", NOTHING
    gpus: tuple[str, ...] = ()
    images: frozenset[str] | None = None
    for mark in marks:
        key, _, value = mark.partition(":")
        if key in set(NodeStatus):
            status, message = NodeStatus(key), value.replace("_", " ")
        elif key == "images":
            images = frozenset(filter(None, value.split("+")))
        elif key == "gpus":
            gpus = tuple(value.split("+"))
        elif key == "foreign":
            foreign = read_resources(value)
        else:
            labels.add(key)
    known = frozenset(labels)
    return Node(node.name, node.capacity, foreign, known, status, message, gpus, images)


def show(decision: Decision) -> str:
    match decision:
        case SetStatus(execution_id, status, _, reason, end):
            ending = ""
            if end is not None:
                code = "" if end.exit_code is None else f" {end.exit_code}"
                ending = f" [{end.outcome}{code}]"
            return f"{execution_id} {status}{ending}: {reason}"
        case SetInstance(instance, _, reason):
            return f"{instance.id} {describe(instance)}: {reason}"
        case Defer(execution_id, position, _, reasons):
            said = "; ".join(f"[{reason.code}] {reason.message}" for reason in reasons)
            return f"{execution_id} waits at {position}: {said}"
        case SetNodes(nodes):
            return "nodes " + " ".join(f"{node.name}:{node.status}" for node in nodes)
        case SetBalances(balances):
            return "\n".join(
                f"balance of {each.user} for {each.team or 'no team'}: "
                f"{cores(each.held[0])}, on average {each.average[0] / 1000:.3g}"
                for each in balances
            )
        case Forget(execution_id):
            return f"forget {execution_id}"
        case StartInstance(instance):
            return f"  -> start {instance.id} attempt {instance.attempt} on {instance.node}"
        case StopInstance(instance_id, attempt, grace, shrink, _):
            how = " shrink" if shrink else ""
            return f"  -> stop {instance_id} attempt {attempt} grace {grace:g}{how}"
        case WakeAt(time):
            return f"  -> wake at {time:g}"
        case ResizeInstance(instance_id):
            return f"  -> resize {instance_id}"


def describe(instance: ServiceInstance) -> str:
    marks = [f"{instance.status} on {instance.node}"]
    if instance.gpus:
        marks.append(f"GPUs {'+'.join(instance.gpus)}")
    if instance.attempt > 1:
        marks.append(f"attempt {instance.attempt}")
    if instance.ready:
        marks.append("ready")
    if instance.status is InstanceStatus.WAITING and instance.not_before:
        marks.append(f"not before {instance.not_before:g}")
    return ", ".join(marks)


class Scenario:
    """One scheduler with what a scenario does to it."""

    def __init__(self) -> None:
        self.options: dict[str, object] = {}
        self.scheduler = Scheduler()
        self.now = 0.0
        self.shrunk: frozenset[str] = frozenset()
        self.gone: set[str] = set()
        self.shares = Accounts()
        self.balances: dict[tuple[str, str], Balance] = {}
        self.lowered: frozenset[tuple[str, str, str]] = frozenset()

    def run(self, lines: list[str]) -> list[str]:
        """Carry out one command, whose first line may be followed by indented ones."""
        words = lines[0].split()
        body = [line.strip() for line in lines[1:]]
        match words:
            case ["scheduler", *options]:
                self.options = dict(read_option(option) for option in options)
                self.scheduler = scheduler_of(**self.options)
                return []
            case ["time", seconds]:
                self.now += float(seconds)
                return []
            case ["shrunk", *names]:
                self.shrunk = frozenset(names)
                return []
            case ["show"]:
                return list(self.show())
            case ["plan", name, *options]:
                return list(self.plan(read_zapp(name, body, options), options))
            case ["restart", *gone]:
                executions = list(self.scheduler.executions.values())
                self.scheduler = scheduler_of(**self.options)
                balances = BalancesRestored(tuple(self.balances.values()))
                self.handle([balances, SharesSet(self.shares)])
                return self.handle(reconcile(executions, self.observation(executions, set(gone))))
            case ["look", *gone]:
                executions = list(self.scheduler.executions.values())
                observation = self.observation(executions, set(gone))
                return self.handle(differences(executions, observation))
            case _:
                return self.handle([self.event(words, body)])

    def handle(self, events: list[Event]) -> list[str]:
        shown = []
        for event in events:
            decisions = self.scheduler.handle(event, self.now)
            shown.extend(show(decision) for decision in decisions)
            for decision in decisions:
                if isinstance(decision, SetBalances):
                    self.balances |= {(each.team, each.user): each for each in decision.balances}
            executions = self.scheduler.executions.values()
            if isinstance(event, SharesSet):
                self.lowered = frozenset(over_quota(executions, event.shares))
            else:  # what was over a quota that had been lowered goes below it, and stays there
                self.lowered &= over_quota(executions, self.scheduler.shares).keys()
            check_invariants(self.scheduler, shrunk=self.shrunk, lowered=self.lowered)
        return shown

    def event(self, words: list[str], body: list[str]) -> Event:
        match words:
            case ["nodes", *nodes]:
                self.nodes = tuple(read_node(node) for node in nodes)
                return NodesObserved(self.nodes)
            case ["submit", number, name, *options]:
                zapp = read_zapp(name, body, options)
                desired = Desired.STOP if "stopped" in options else Desired.RUN
                owner, team = self.owner(options)
                return ExecutionSubmitted(
                    Execution(int(number), name, owner, zapp, self.now, desired=desired, team=team)
                )
            case ["shares"]:
                self.shares = read_shares(body)
                return SharesSet(self.shares)
            case ["terminate", number, *delete]:
                return TerminationRequested(int(number), "ann", bool(delete))
            case ["scale", number, service, counts]:
                least, _, elastic = counts.rpartition("..")
                return ScaleRequested(int(number), service, int(elastic), int(least or 0))
            case ["wake"]:
                return WokeUp()
            case [verb, instance, *rest]:
                return self.instance_event(verb, instance, rest)
        raise AssertionError(words)

    def instance_event(self, verb: str, instance: str, rest: list[str]) -> Event:
        key, _, attempt = instance.partition("#")
        tried = (key, int(attempt) if attempt else self.attempt(key))
        message = " ".join(rest)
        match verb:
            case "started":
                return InstanceStarted(*tried, message)
            case "ready":
                return InstanceReady(*tried)
            case "exit":
                return InstanceStopped(*tried, read_exit(rest))
            case "stopped":
                return InstanceStopped(*tried, Exit(ExitReason.STOPPED))
            case "start-refused":
                return StartFailed(*tried, message, False)
            case "start-failed":
                return StartFailed(*tried, message, True)
            case "stop-failed":
                return StopFailed(*tried, message)
            case "missing":
                return InstanceMissing(*tried)
            case "orphan":
                return OrphanObserved(*tried)
        raise AssertionError(verb)

    def attempt(self, key: str) -> int:
        execution = self.scheduler.executions.get(int(key.partition("/")[0]))
        instances = execution.instances if execution else ()
        return next((one.attempt for one in instances if one.id == key), 1)

    def observation(self, executions: list[Execution], gone: set[str]) -> Observation:
        """What a back-end sees that did all it was asked for, but for the instances ``gone``."""
        seen = [
            ObservedInstance(
                one.id,
                one.attempt,
                one.node,
                InstanceStatus.RUNNING,
                one.ready or one.status is InstanceStatus.STARTING,
                "10.0.0.1" if one.status is InstanceStatus.STARTING else one.address,
            )
            for execution in executions
            for one in execution.instances
            if one.status not in (InstanceStatus.WAITING, InstanceStatus.STOPPED)
            and one.id not in gone
        ]
        return Observation(self.nodes, tuple(seen))

    def show(self) -> Iterator[str]:
        for execution in self.scheduler.executions.values():
            yield f"{execution.id} {execution.name} {execution.status}"
            for instance in execution.instances:
                yield f"  {instance.id} {describe(instance)}"

    def plan(self, zapp: ZApp, options: list[str]) -> Iterator[str]:
        owner, team = self.owner(options)
        wish = Execution(0, zapp.name, owner, zapp, self.now, team=team)
        before = dict(self.scheduler.executions)
        admission = self.scheduler.would_admit(wish, self.now)
        assert dict(self.scheduler.executions) == before
        yield (
            "fits now"
            if admission.fits_now
            else ("does not fit now" if admission.can_ever_fit else "can never fit")
        )
        for each in admission.placements:
            kind = "essential" if each.essential else "elastic"
            yield f"  {each.service}/{each.ordinal} {kind} on {each.node}"
        for reason in admission.reasons:
            yield f"  [{reason.code}] {reason.message}"

    @staticmethod
    def owner(options: list[str]) -> tuple[str, str]:
        given = dict(option.split("=") for option in options if "=" in option)
        return given.get("owner", "ann"), given.get("team", "")


def read_option(text: str) -> tuple[str, object]:
    key, _, value = text.partition("=")
    if value in ("true", "false"):
        return key, value == "true"
    if value.replace(".", "", 1).isdecimal():
        return key, float(value) if "." in value else int(value)
    return key, value


def read_exit(words: list[str]) -> Exit:
    match words:
        case ["0"]:
            return Exit(ExitReason.COMPLETED, code=0)
        case ["oom"]:
            return Exit(ExitReason.OUT_OF_MEMORY, code=137)
        case ["signal", number]:
            return Exit(ExitReason.FAILED, signal=int(number))
        case ["not-started", *message]:
            return Exit(ExitReason.NOT_STARTED, message=" ".join(message))
        case ["lost"]:
            return Exit(ExitReason.LOST)
        case ["failed"]:
            return Exit(ExitReason.FAILED)
        case [code]:
            return Exit(ExitReason.FAILED, code=int(code))
    raise AssertionError(words)


def replay(text: str) -> str:
    """Return the scenario with the output that it has now.

    Blocks are apart by empty lines: commands, then ``----``, then what the last command gave.
    """
    scenario = Scenario()
    blocks = []
    for block in text.strip().split("\n\n"):
        head = block.split("\n----")[0]
        commands: list[list[str]] = []
        for line in head.splitlines():
            if line.startswith("#"):
                continue
            if line.startswith(" "):
                commands[-1].append(line)
            else:
                commands.append([line])
        shown = [line for command in commands for line in scenario.run(command)]
        blocks.append("\n".join([head, "----", *shown] if commands else [head]))
    return "\n\n".join(blocks) + "\n"


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
