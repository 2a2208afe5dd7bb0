"""A scenario: a scheduler that is told, line by line, what happens, and says what it decides.

The invariants are checked after every command.
"""

from collections.abc import Iterator

from scenario_text import (
    describe,
    read_exit,
    read_load,
    read_mark,
    read_node,
    read_option,
    read_shares,
    read_zapp,
    show,
)

from rehearsal import scheduler_of
from zoe.model.balance import Balance
from zoe.model.change import SetBalances
from zoe.model.cluster import NodeMark, Observation, ObservedInstance
from zoe.model.execution import (
    Desired,
    Execution,
    Exit,
    ExitReason,
    InstanceStatus,
)
from zoe.model.quota import Accounts
from zoe.model.zapp import (
    ZApp,
)
from zoe.scheduler.events import (
    BalancesRestored,
    Event,
    ExecutionSubmitted,
    InstanceMissing,
    InstancePrepared,
    InstanceReady,
    InstanceStarted,
    InstanceStopped,
    LoadsObserved,
    MemoryKilled,
    NodesMarked,
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


class Scenario:
    """One scheduler with what a scenario does to it."""

    def __init__(self) -> None:
        self.options: dict[str, object] = {}
        self.scheduler = Scheduler()
        self.now = 0.0
        self.shrunk: frozenset[str] = frozenset()
        self.gone: set[str] = set()
        self.shares = Accounts()
        self.marks: tuple[NodeMark, ...] = ()
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
                self.handle([balances, SharesSet(self.shares), NodesMarked(self.marks)])
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
            case ["loads", *loads]:
                return LoadsObserved(tuple(read_load(load) for load in loads))
            case ["marks", *marks]:
                self.marks = tuple(read_mark(mark) for mark in marks)
                return NodesMarked(self.marks)
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
            case "prepared":
                return InstancePrepared(*tried, message)
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
            case "memory-killed":
                return MemoryKilled(*tried, int(message))
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
