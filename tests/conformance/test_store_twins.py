"""Whatever is asked of them in whatever order, the store in memory and PostgreSQL answer alike."""

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from submissions_for_tests import NODES, instance, new, status
from zoe.model.balance import Balance
from zoe.model.change import Acknowledge, Change, Defer, Foretell, Forget, SetBalances, SetNodes
from zoe.model.errors import ZoeError
from zoe.model.execution import Execution, ExecutionStatus, Forecast, InstanceStatus, Reason
from zoe.model.quota import Quota, Team, User
from zoe.store.base import HistoryEntry, Page, Store
from zoe.store.memory import MemoryStore
from zoe.store.postgres import PostgresStore


class Side:
    """One store, with the ids it gave to the executions in the order of their submission."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.ids: list[int] = []
        self.epoch = 0

    def id(self, index: int) -> int:
        return self.ids[index] if index < len(self.ids) else 1_000_000 + index

    async def submit(self, name: str, owner: str, key: str) -> Execution:
        made = await self.store.submit(new(name, owner, key))
        if made.id not in self.ids:
            self.ids.append(made.id)
        return made

    async def lead(self) -> bool:
        epoch = await self.store.lead("test", 600)
        self.epoch = epoch or self.epoch
        return epoch is not None

    def plain(self, answer: object) -> object:
        """Return ``answer`` without what may differ: ids and the time of requests."""
        match answer:
            case Execution():
                index = self.ids.index(answer.id)
                instances = tuple(
                    dataclasses.replace(each, execution_id=index) for each in answer.instances
                )
                return dataclasses.replace(answer, id=index, submitted_at=0.0, instances=instances)
            case HistoryEntry():
                index = self.ids.index(answer.execution_id)
                detail = {**answer.detail, "id": None, "execution_id": None}
                at = answer.at if answer.kind in ("status", "instance", "deferred") else 0.0
                return (index, at, answer.kind, answer.message, detail)
            case Page():
                return [self.plain(each) for each in answer.items], bool(answer.next_cursor)
            case list():
                return [self.plain(each) for each in answer]
        return answer


Act = Callable[[Side], Coroutine[Any, Any, object]]

indexes = some.integers(0, 3)
names = some.sampled_from(["a", "b", "default"])
texts = some.sampled_from(["a", "ab", "b%", "\x00", "ü"])
reasons = some.lists(some.builds(Reason, texts, texts), max_size=2).map(tuple)


def changes_of(index: int) -> some.SearchStrategy[Callable[[Side], Change]]:
    """Draw a change of the execution submitted as number ``index``."""
    return some.one_of(
        some.sampled_from(ExecutionStatus).map(lambda to: lambda side: status(side.id(index), to)),
        some.tuples(
            some.integers(0, 1), some.sampled_from(InstanceStatus), some.integers(1, 2)
        ).map(lambda at: lambda side: instance(side.id(index), at[0], at[1], attempt=at[2])),
        some.tuples(some.integers(0, 3), reasons).map(
            lambda why: lambda side: Defer(side.id(index), why[0], 2.0, why[1])
        ),
        some.integers(0, 4).map(lambda g: lambda side: Acknowledge(side.id(index), g)),
        some.just(lambda side: Forget(side.id(index))),
        some.builds(
            Forecast,
            some.sampled_from([1.0, 2.5]),
            some.none() | some.just(7.0),
            some.none() | some.just(8.0),
            texts,
        ).map(lambda said: lambda side: Foretell(((side.id(index), said),))),
        some.integers(0, 2).map(lambda count: lambda side: SetNodes(NODES[:count], 3.0)),
        some.builds(
            Balance,
            some.sampled_from(["", "t"]),
            some.sampled_from("uv"),
            some.floats(0, 1e10),
            some.tuples(*[some.integers(0, 2**50)] * 3),
            some.tuples(*[some.floats(0, 1e15)] * 3),
        ).map(lambda balance: lambda side: SetBalances((balance,))),
    )


LIFE = [
    ExecutionStatus.QUEUED,
    ExecutionStatus.STARTING,
    ExecutionStatus.RUNNING,
    ExecutionStatus.STOPPING,
    ExecutionStatus.TERMINATED,
]


def record(made: list[Callable[[Side], Change]], stale: int) -> Act:
    return lambda side: side.store.record([make(side) for make in made], side.epoch - stale)


def live(index: int, until: int) -> Act:
    return lambda side: side.store.record(
        [status(side.id(index), each) for each in LIFE[:until]], side.epoch
    )


acts: some.SearchStrategy[Act] = some.one_of(
    some.builds(
        lambda *a: lambda side: side.submit(*a), texts, texts, some.sampled_from(["", "k"])
    ),
    some.builds(lambda i, by: lambda side: side.store.request_stop(side.id(i), by), indexes, texts),
    some.builds(
        lambda i, by: lambda side: side.store.request_delete(side.id(i), by), indexes, texts
    ),
    some.builds(
        lambda i, service, n, least: (
            lambda side: side.store.request_scale(side.id(i), service, n, "ann", least)
        ),
        indexes,
        some.sampled_from(["f.s", "f.x"]),
        some.integers(-1, 3),
        some.sampled_from([0, 0, 1, 2, 3]),
    ),
    some.builds(
        record,
        indexes.flatmap(lambda i: some.lists(changes_of(i), min_size=1, max_size=4)),
        some.sampled_from([0, 0, 0, 1]),
    ),
    some.builds(live, indexes, some.integers(1, 5)),
    some.builds(
        lambda name, gpus: (
            lambda side: side.store.accounts.put_user(User(name, quota=Quota(gpus=gpus)))
        ),
        names,
        some.integers(0, 2),
    ),
    some.builds(
        lambda name, weight: lambda side: side.store.accounts.put_team(Team(name, weight)),
        names,
        some.sampled_from([0.5, 1.0]),
    ),
    some.builds(lambda name: lambda side: side.store.accounts.remove_user(name), names),
    some.builds(lambda name: lambda side: side.store.accounts.remove_team(name), names),
    some.just(lambda side: side.lead()),
    some.just(lambda side: side.store.resign(side.epoch)),
    some.just(lambda side: side.store.renew(side.epoch, 600)),
)

questions: Mapping[str, Act] = {
    "load": lambda side: side.store.load(),
    "intents": lambda side: side.store.intents(),
    "history": lambda side: side.store.history(None),
    "accounts": lambda side: side.store.accounts.read(),
    "nodes": lambda side: side.store.nodes(),
    "balances": lambda side: side.store.balances(),
    "queue": lambda side: side.store.queue(),
    "queue of one": lambda side: side.store.queue(owner="a", limit=1),
    "past forecasts": lambda side: side.store.past_forecasts(),
    "counts": lambda side: side.store.counts(),
    "page": lambda side: side.store.page(limit=2),
    "page of a name": lambda side: side.store.page(name="a", owner="ü"),
    "find": lambda side: side.store.find(None, "a"),
    "find a prefix": lambda side: side.store.find("a", "b"),
}


async def answer(side: Side, act: Act) -> object:
    try:
        return side.plain(await act(side))
    except (ZoeError, ValueError) as error:
        return type(error)


async def compare(url: str, script: list[Act]) -> None:
    postgres = PostgresStore(url, pool_size=2)
    await postgres.open()
    try:
        sides = [Side(MemoryStore()), Side(postgres)]
        for side in sides:
            await side.submit("a", "a", "")
            await side.lead()
        for number, act in enumerate(script):
            mine, theirs = [await answer(side, act) for side in sides]
            assert mine == theirs, f"step {number}"
        for name, question in questions.items():
            mine, theirs = [await answer(side, question) for side in sides]
            assert mine == theirs, name
    finally:
        await postgres.close()


@settings(
    max_examples=settings.default.max_examples // 4,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(script=some.lists(acts, min_size=5, max_size=40))
def test_memory_and_postgres_answer_alike(postgres_url: str, script: list[Act]) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute(
            "TRUNCATE execution, execution_count, node, user_share, team_share CASCADE"
        )
        connection.execute("UPDATE share_version SET version = 0")
        connection.execute("UPDATE leader SET holder = NULL")
    asyncio.run(compare(postgres_url, script))
