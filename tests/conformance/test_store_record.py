"""What every store does with the master's changes."""

import dataclasses

import pytest

from submissions_for_tests import (
    FULL,
    NODES,
    STOPPING,
    F,
    Q,
    R,
    S,
    T,
    instance,
    lead,
    new,
    status,
    way_to,
)
from zoe.model.change import (
    Acknowledge,
    Change,
    Defer,
    Foretell,
    Forget,
    SetNodes,
    SetStatus,
)
from zoe.model.errors import IllegalTransition
from zoe.model.execution import (
    EXECUTION_TRANSITIONS,
    INSTANCE_TRANSITIONS,
    ExecutionEnd,
    ExecutionStatus,
    Exit,
    ExitReason,
    Forecast,
    InstanceStatus,
    Outcome,
    Reason,
)
from zoe.store.base import NotFound, PastForecast, Store

WAITING, STARTING, RUNNING, STOPPED = (
    InstanceStatus.WAITING,
    InstanceStatus.STARTING,
    InstanceStatus.RUNNING,
    InstanceStatus.STOPPED,
)


async def test_a_life_sets_times_and_clears_reasons(store: Store, another_store: Store) -> None:
    made = await store.submit(new(zapp=FULL))
    epoch = await lead(store)
    reasons = (Reason("no-room", "12 cores are missing"), Reason("behind", "2 are before it"))
    await store.record([status(made.id, Q, 1.5), Defer(made.id, 3, 1.5, reasons)], epoch)
    queued = await another_store.get(made.id)
    assert (queued.status, queued.queue_position, queued.reasons) == (Q, 3, reasons)
    assert (queued.started_at, queued.ended_at, queued.end) == (None, None, None)

    await store.record([status(made.id, S, 2.25)], epoch)
    starting = await another_store.get(made.id)
    assert (starting.queue_position, starting.reasons, starting.started_at) == (None, (), 2.25)

    await store.record([status(made.id, R, 3.0)], epoch)
    assert (await another_store.get(made.id)).started_at == 2.25

    end = ExecutionEnd(Outcome.STOPPED, "ann asked", None)
    await store.record([SetStatus(made.id, STOPPING, 4.0, "stop", end)], epoch)
    assert (await another_store.get(made.id)).end == end
    await store.record([SetStatus(made.id, T, 5.0, "stopped")], epoch)
    ended = await another_store.get(made.id)
    assert (ended.status, ended.started_at, ended.ended_at, ended.end) == (T, 2.25, 5.0, end)


async def test_forecasts_are_kept_while_it_waits_and_the_first_one_for_good(
    store: Store, another_store: Store
) -> None:
    first, second = [await store.submit(new()) for _ in range(2)]
    epoch = await lead(store)
    vague = Forecast(1.0, 20.0, None, "nobody can tell when nap ends")
    told = Forecast(2.0, 20.0, 30.0, uncorrected=(15.0, 25.5))
    later = Forecast(3.0, 21.0, 31.0)
    await store.record([status(first.id, Q), status(second.id, Q)], epoch)
    lines = len(await store.history(None))
    await store.record([Foretell(((first.id, vague), (second.id, vague)))], epoch)
    assert (await another_store.get(first.id)).forecast == vague
    assert (await another_store.get(first.id)).first_forecast is None
    await store.record([Foretell(((first.id, told),)), Foretell(((first.id, later),))], epoch)
    (known, other) = await another_store.load()
    assert (known.forecast, known.first_forecast, other.forecast) == (later, told, vague)
    assert len(await store.history(None)) == lines, "forecasts are no history"
    assert await another_store.past_forecasts() == []

    await store.record([status(first.id, S, 25.0), status(second.id, S, 24.0)], epoch)
    known = await another_store.get(first.id)
    assert (known.forecast, known.first_forecast) == (None, told)
    # Too late, and about nobody: skipped, as it may be when it was made.
    await store.record([Foretell(((first.id, later), (second.id, told), (999_999, told)))], epoch)
    assert (await another_store.get(first.id)).forecast is None
    assert (await another_store.get(second.id)).first_forecast is None
    assert await another_store.past_forecasts() == [PastForecast(told, 25.0)]


async def test_the_queue_is_in_its_order(store: Store, another_store: Store) -> None:
    made = [await store.submit(new(owner=owner)) for owner in ("ann", "bob", "ann", "ann", "bob")]
    epoch = await lead(store)
    changes: list[Change] = [status(each.id, Q) for each in made[:4]]
    changes += [
        Defer(each.id, place, 1.0, ()) for each, place in zip(made, (3, 1, 2), strict=False)
    ]
    changes += [status(made[3].id, S)]
    await store.record(changes, epoch)
    ids = [each.id for each in made]
    found = [each.id for each in await another_store.queue()]
    assert found == [ids[1], ids[2], ids[0], ids[4]]
    assert [each.id for each in await another_store.queue(owner="ann")] == [ids[2], ids[0]]
    assert [each.id for each in await another_store.queue(limit=1)] == [ids[1]]


async def test_past_forecasts_are_the_newest_in_order(store: Store) -> None:
    made = [await store.submit(new()) for _ in range(4)]
    epoch = await lead(store)
    await store.record([status(each.id, Q) for each in made], epoch)
    told = [(each.id, Forecast(1.0, float(n), 9.0)) for n, each in enumerate(made)]
    await store.record([Foretell(tuple(told))], epoch)
    starts = [40.0, 10.0, 30.0, 20.0]
    changes = [status(each.id, S, at) for each, at in zip(made, starts, strict=True)]
    await store.record(changes, epoch)
    found = await store.past_forecasts(3)
    assert [(each.started_at, each.forecast.p50) for each in found] == [
        (20.0, 3.0),
        (30.0, 2.0),
        (40.0, 0.0),
    ]


async def test_instances_are_kept_whole_and_in_order(store: Store, another_store: Store) -> None:
    made = await store.submit(new())
    epoch = await lead(store)
    changes = [instance(made.id, n) for n in (10, 2, 0)]
    changes += [instance(made.id, 1, service="f.a"), instance(made.id, 1, service="f.B")]
    await store.record(changes, epoch)
    stored = (await another_store.get(made.id)).instances
    places = [(each.service, each.ordinal) for each in stored]
    assert places == [("f.B", 1), ("f.a", 1), ("f.s", 0), ("f.s", 2), ("f.s", 10)]

    full = dataclasses.replace(
        stored[2],
        status=STARTING,
        ready=True,
        address="127.1.2.3",
        started_at=1.1,
        not_before=2.2,
        failures=2,
    )
    await store.record([dataclasses.replace(changes[2], instance=full)], epoch)
    assert full in (await another_store.get(made.id)).instances
    exit = Exit(ExitReason.FAILED, None, 9, "killed")
    last = dataclasses.replace(full, status=STOPPED, stopped_at=3.3, exit=exit)
    await store.record([dataclasses.replace(changes[2], instance=last)], epoch)
    assert last in (await another_store.get(made.id)).instances
    assert last in (await another_store.load())[0].instances
    assert (await another_store.page()).items[0].instances == ()


async def test_one_attempt_follows_another_within_one_commit(store: Store) -> None:
    made = await store.submit(new())
    epoch = await lead(store)
    lives = [(1, WAITING), (1, STARTING), (1, STOPPED), (2, WAITING), (2, STARTING)]
    changes = [instance(made.id, status=status, attempt=attempt) for attempt, status in lives]
    await store.record(changes, epoch)
    (stored,) = (await store.get(made.id)).instances
    assert (stored.attempt, stored.status) == (2, STARTING)
    statuses = [entry.detail["status"] for entry in (await store.history(made.id))[1:]]
    assert statuses == [status.value for _, status in lives]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1, STOPPED), (1, WAITING)),
        ((1, STOPPED), (3, WAITING)),
        ((1, STARTING), (2, STARTING)),
        ((1, STARTING), (2, RUNNING)),
    ],
)
async def test_attempts_count_by_one(
    store: Store, before: tuple[int, InstanceStatus], after: tuple[int, InstanceStatus]
) -> None:
    made = await store.submit(new())
    epoch = await lead(store)
    first = instance(made.id, attempt=before[0])
    await store.record([first, instance(made.id, 0, before[1])], epoch)
    with pytest.raises(IllegalTransition):
        await store.record([instance(made.id, 0, after[1], attempt=after[0])], epoch)


async def test_only_legal_execution_transitions(store: Store) -> None:
    epoch = await lead(store)
    for old, legal in EXECUTION_TRANSITIONS.items():
        for wanted in ExecutionStatus:
            made = await store.submit(new())
            await store.record(way_to(made.id, old), epoch)
            if wanted in legal:
                await store.record([status(made.id, wanted)], epoch)
                assert (await store.get(made.id)).status is wanted
            else:
                with pytest.raises(IllegalTransition):
                    await store.record([status(made.id, wanted)], epoch)
                assert (await store.get(made.id)).status is old


async def test_only_legal_instance_transitions(store: Store) -> None:
    ways = {
        WAITING: [WAITING],
        STARTING: [STARTING],
        RUNNING: [STARTING, RUNNING],
        InstanceStatus.STOPPING: [STARTING, InstanceStatus.STOPPING],
        STOPPED: [WAITING, STOPPED],
    }
    made = await store.submit(new())
    epoch = await lead(store)
    cases = [(old, wanted) for old in InstanceStatus for wanted in InstanceStatus]
    for ordinal, (old, wanted) in enumerate(cases):
        await store.record([instance(made.id, ordinal, each) for each in ways[old]], epoch)
        attempt = 2 if (old, wanted) == (STOPPED, WAITING) else 1
        change = instance(made.id, ordinal, wanted, attempt=attempt)
        if wanted is old or wanted in INSTANCE_TRANSITIONS[old]:
            await store.record([change], epoch)
        else:
            with pytest.raises(IllegalTransition):
                await store.record([change], epoch)


@pytest.mark.parametrize("begin", [RUNNING, InstanceStatus.STOPPING, STOPPED])
async def test_an_instance_begins_at_the_beginning(store: Store, begin: InstanceStatus) -> None:
    made = await store.submit(new())
    with pytest.raises(IllegalTransition):
        await store.record([instance(made.id, status=begin)], await lead(store))


async def test_a_bad_change_in_the_middle_undoes_all(store: Store) -> None:
    good, bad = await store.submit(new("good")), await store.submit(new("bad"))
    epoch = await lead(store)
    before = [await store.get(good.id), await store.get(bad.id)], await store.history(None)
    around: list[Change] = [status(good.id, Q), instance(good.id), SetNodes(NODES, 1.0)]
    wrong: list[tuple[Change, type[Exception]]] = [
        (status(bad.id, R), IllegalTransition),
        (status(999, Q), NotFound),
        (instance(999), NotFound),
        (Defer(999, 1, 1.0), NotFound),
        (Defer(bad.id, 0, 1.0), IllegalTransition),
        (Acknowledge(bad.id, 2), IllegalTransition),
        (Forget(bad.id), IllegalTransition),
    ]
    for change, error in wrong:
        with pytest.raises(error):
            await store.record([*around, change, Acknowledge(good.id, 1)], epoch)
    after = [await store.get(good.id), await store.get(bad.id)], await store.history(None)
    assert after == before
    assert await store.nodes() == []
    assert len(await store.intents()) == 2
    await store.record(around, epoch)
    assert (await store.get(good.id)).status is Q


async def test_only_what_waits_is_deferred(store: Store) -> None:
    made = await store.submit(new())
    epoch = await lead(store)
    await store.record([Defer(made.id, 1, 1.0)], epoch)
    await store.record(way_to(made.id, S), epoch)
    with pytest.raises(IllegalTransition):
        await store.record([Defer(made.id, 1, 2.0)], epoch)


async def test_load_is_everything_alive(store: Store) -> None:
    epoch = await lead(store)
    made = {}
    for goal in ExecutionStatus:
        made[goal] = (await store.submit(new(str(goal)))).id
        await store.record(way_to(made[goal], goal), epoch)
    await store.record([instance(made[R])], epoch)
    loaded = await store.load()
    assert [each.id for each in loaded] == [made[each] for each in ExecutionStatus][:-2]
    assert [len(each.instances) for each in loaded] == [0, 0, 0, 1, 0]
    assert F not in {each.status for each in loaded}


async def test_nodes_are_replaced(store: Store) -> None:
    epoch = await lead(store)
    await store.record([SetNodes(NODES, 1.0)], epoch)
    assert await store.nodes() == [NODES[1], NODES[0]]
    tired = dataclasses.replace(NODES[0], message="gone\x00")
    await store.record([SetNodes((tired,), 2.0)], epoch)
    assert await store.nodes() == [dataclasses.replace(tired, message="gone\ufffd")]
    await store.record([SetNodes((), 3.0)], epoch)
    assert await store.nodes() == []


async def test_forget_takes_only_what_ended_and_was_deleted(store: Store) -> None:
    made = await store.submit(new())
    epoch = await lead(store)
    await store.record(way_to(made.id, R), epoch)
    await store.request_delete(made.id, "ann")
    with pytest.raises(IllegalTransition):
        await store.record([Forget(made.id)], epoch)
    end = [*way_to(made.id, T)[3:], Forget(made.id), Acknowledge(made.id, 2), Forget(made.id)]
    await store.record(end, epoch)
    with pytest.raises(NotFound):
        await store.get(made.id)
    assert await store.history(None) == []
    assert await store.intents() == []

    kept = await store.submit(new())
    await store.record(way_to(kept.id, T), epoch)
    with pytest.raises(IllegalTransition):
        await store.record([Forget(kept.id)], epoch)


async def test_texts_of_programs_are_made_storable(store: Store) -> None:
    made = await store.submit(new())
    epoch = await lead(store)
    placed = instance(made.id, status=STARTING)
    exit = Exit(ExitReason.FAILED, 1, None, "\x00\ud800!")
    stopped = dataclasses.replace(placed.instance, status=STOPPED, address="\x00", exit=exit)
    end = ExecutionEnd(Outcome.FAILED, "a\x00b", 1)
    changes: list[Change] = [
        placed,
        dataclasses.replace(placed, instance=stopped, reason="\x00"),
        Defer(made.id, 1, 1.0, (Reason("x", "\x00"),)),
        SetStatus(made.id, F, 1.0, "\x00", end),
    ]
    await store.record(changes, epoch)
    failed = await store.get(made.id)
    assert failed.end is not None
    assert failed.end.message == "a\ufffdb"
    assert failed.instances[0].exit == dataclasses.replace(exit, message="\ufffd\ufffd!")
    assert {entry.message for entry in await store.history(made.id)} >= {"\ufffd"}


async def test_nothing_to_record_is_nothing(store: Store) -> None:
    await store.record([], 12345)
