"""What every store does with submissions, intents and questions."""

import asyncio
import dataclasses

import pytest

from submissions_for_tests import FULL, SMALL, F, Q, R, T, lead, new, way_to
from zoe.model.change import Acknowledge
from zoe.model.execution import Desired, ExecutionStatus
from zoe.store.base import Conflict, NotFound, Store, Token
from zoe.store.checks import NotStorable

NASTY = "Robert'); DROP TABLE execution; --\" \\ %s %(id)s {columns} $1 \U0001f600 漢字 e\u0301"


async def test_a_submission_comes_back_as_it_was(store: Store, another_store: Store) -> None:
    made = await store.submit(new(zapp=FULL, source="zoe: 4\n# ü\n"))
    assert made.zapp == FULL
    assert made.status is ExecutionStatus.SUBMITTED
    assert (made.desired, made.generation, made.instances) == (Desired.RUN, 1, ())
    assert await another_store.get(made.id) == made
    assert await another_store.source(made.id) == "zoe: 4\n# ü\n"


async def test_many_at_once_each_get_their_own(store: Store) -> None:
    made = await asyncio.gather(*(store.submit(new(f"job-{n}")) for n in range(300)))
    assert [execution.name for execution in made] == [f"job-{n}" for n in range(300)]
    assert len({execution.id for execution in made}) == 300
    assert [entry.kind for entry in await store.history(None)] == ["submitted"] * 300


async def test_one_key_is_one_execution(store: Store, another_store: Store) -> None:
    submissions = [
        each.submit(new(f"job-{n}", key="once"))
        for n in range(40)
        for each in (store, another_store)
    ]
    made = await asyncio.gather(*submissions)
    assert len({execution.id for execution in made}) == 1
    assert len({execution.name for execution in made}) == 1
    assert len(await store.history(None)) == 1
    assert await store.submit(new("other", key="once")) == made[0]


async def test_a_key_belongs_to_its_owner(store: Store) -> None:
    ann = await store.submit(new(owner="ann", key="1"))
    bob = await store.submit(new(owner="bob", key="1"))
    again = await store.submit(new(owner="ann", key=""))
    assert len({ann.id, bob.id, again.id}) == 3


async def test_a_key_finds_the_execution_as_it_is_now(store: Store) -> None:
    made = await store.submit(new(key="1"))
    await store.record(way_to(made.id, R), await lead(store))
    assert (await store.submit(new(key="1"))).status is R


async def test_a_bad_submission_leaves_its_neighbours_alone(store: Store) -> None:
    bad = dataclasses.replace(SMALL, parameters={"x": float("nan")})
    answers = await asyncio.gather(
        store.submit(new("good-1")),
        store.submit(new("bad\x00")),
        store.submit(new("good-2")),
        store.submit(new(source="a\x00b")),
        store.submit(new(zapp=bad)),
        store.submit(new(source="\ud800")),
        return_exceptions=True,
    )
    assert [getattr(answer, "name", type(answer)) for answer in answers] == [
        "good-1",
        NotStorable,
        "good-2",
        NotStorable,
        NotStorable,
        NotStorable,
    ]
    assert "U+0000" in str(answers[1])
    assert len((await store.page()).items) == 2


async def test_any_text_is_kept_and_does_nothing_else(store: Store) -> None:
    zapp = dataclasses.replace(SMALL, name=NASTY, parameters={NASTY: NASTY})
    made = await store.submit(new(NASTY, NASTY, NASTY, zapp, NASTY * 100))
    assert await store.get(made.id) == made
    assert made.zapp == zapp
    assert await store.source(made.id) == NASTY * 100
    assert (await store.find(NASTY, NASTY)).id == made.id
    assert [each.id for each in (await store.page(owner=NASTY, name=NASTY)).items] == [made.id]
    assert (await store.request_stop(made.id, NASTY)).desired_by == NASTY
    await store.add_token(Token(NASTY, NASTY, NASTY, NASTY, 1.0))
    assert await store.find_token(NASTY) == Token(NASTY, NASTY, NASTY, NASTY, 1.0)
    assert await store.find_token("' OR ''='") is None


async def test_a_document_of_megabytes_is_kept(store: Store) -> None:
    made = await store.submit(new(source="x" * 5_000_000))
    assert len(await store.source(made.id)) == 5_000_000


async def test_stop_is_asked_once(store: Store) -> None:
    made = await store.submit(new())
    stopped = await store.request_stop(made.id, "bob")
    assert (stopped.desired, stopped.desired_by, stopped.generation) == (Desired.STOP, "bob", 2)
    assert stopped.status is ExecutionStatus.SUBMITTED
    assert await store.request_stop(made.id, "eve") == stopped
    entries = await store.history(made.id)
    assert [entry.kind for entry in entries] == ["submitted", "stop-requested"]
    assert entries[1].detail == {"by": "bob"}


async def test_stop_does_not_undo_delete(store: Store) -> None:
    made = await store.submit(new())
    await store.request_stop(made.id, "ann")
    await store.request_delete(made.id, "ann")
    await store.request_delete(made.id, "ann")
    stopped = await store.request_stop(made.id, "ann")
    assert (stopped.desired, stopped.generation) == (Desired.DELETE, 3)


async def test_an_ended_one_is_not_stopped(store: Store) -> None:
    made = await store.submit(new())
    await store.record(way_to(made.id, T), await lead(store))
    ended = await store.get(made.id)
    assert await store.request_stop(made.id, "ann") == ended


async def test_scale_is_kept_beside_the_application(store: Store) -> None:
    made = await store.submit(new())
    scaled = await store.request_scale(made.id, "f.s", 7, "ann")
    assert (scaled.elastic, scaled.generation, scaled.zapp) == ({"f.s": 7}, 2, SMALL)
    assert await store.request_scale(made.id, "f.s", 7, "ann") == scaled
    assert (await store.request_scale(made.id, "f.s", 0, "ann")).elastic_count("f.s") == 0
    kinds = [entry.kind for entry in await store.history(made.id)]
    assert kinds == ["submitted", "scale-requested", "scale-requested"]


async def test_scale_keeps_a_minimum_until_another_is_set(store: Store) -> None:
    made = await store.submit(new())
    scaled = await store.request_scale(made.id, "f.s", 7, "ann", 1)
    assert (scaled.elastic, scaled.elastic_min) == ({"f.s": 7}, {"f.s": 1})
    assert await store.request_scale(made.id, "f.s", 7, "ann", 1) == scaled
    assert [each.elastic_min for each in await store.load()] == [{"f.s": 1}]
    last = (await store.history(made.id))[-1]
    assert last.message == "ann set the elastic instances of f.s to 1..7"
    assert last.detail == {"by": "ann", "service": "f.s", "elastic": 7, "elastic_min": 1}
    again = await store.request_scale(made.id, "f.s", 7, "ann")
    assert (again.elastic_min, again.generation) == ({"f.s": 0}, 3)


@pytest.mark.parametrize(("elastic", "elastic_min"), [(9, -1), (0, 1), (9, 3)])
async def test_a_minimum_is_at_most_what_is_wanted_and_declared(
    store: Store, elastic: int, elastic_min: int
) -> None:
    made = await store.submit(new())
    with pytest.raises(ValueError, match="a minimum of elastic instances"):
        await store.request_scale(made.id, "f.s", elastic, "ann", elastic_min)
    assert (await store.get(made.id)).elastic == {}


async def test_scale_refuses_what_cannot_be(store: Store) -> None:
    made = await store.submit(new())
    with pytest.raises(NotFound, match=r"no service f\.x"):
        await store.request_scale(made.id, "f.x", 1, "ann")
    for count in (-1, 10**30):
        with pytest.raises(ValueError, match="cannot be"):
            await store.request_scale(made.id, "f.s", count, "ann")
    await store.request_stop(made.id, "ann")
    with pytest.raises(Conflict):
        await store.request_scale(made.id, "f.s", 1, "ann")
    assert (await store.get(made.id)).elastic == {}


@pytest.mark.parametrize("goal", [F, T])
async def test_an_ended_one_is_not_scaled(store: Store, goal: ExecutionStatus) -> None:
    made = await store.submit(new())
    await store.record(way_to(made.id, goal), await lead(store))
    with pytest.raises(Conflict):
        await store.request_scale(made.id, "f.s", 1, "ann")


async def test_deleting_an_ended_one_leaves_nothing(store: Store) -> None:
    made = await store.submit(new(key="1"))
    await store.record(way_to(made.id, T), await lead(store))
    await store.request_delete(made.id, "ann")
    for question in (store.get(made.id), store.source(made.id), store.find(None, "job")):
        with pytest.raises(NotFound):
            await question
    assert await store.history(made.id) == []
    assert (await store.submit(new(key="1"))).id > made.id


async def test_deleting_a_live_one_is_an_intent(store: Store) -> None:
    made = await store.submit(new())
    await store.request_delete(made.id, "ann")
    assert (await store.get(made.id)).desired is Desired.DELETE
    assert (await store.history(made.id))[-1].kind == "delete-requested"


@pytest.mark.parametrize("number", [0, -1, 7, 2**40, 2**63 - 1, 2**63, 10**30])
async def test_what_is_not_there_is_not_found(store: Store, number: int) -> None:
    for question in (
        store.get(number),
        store.source(number),
        store.find(None, str(number)),
        store.request_stop(number, "ann"),
        store.request_delete(number, "ann"),
        store.request_scale(number, "f.s", 1, "ann"),
    ):
        with pytest.raises(NotFound, match=str(number)):
            await question
    assert await store.history(number) == []


async def test_intents_are_those_not_acknowledged(store: Store) -> None:
    first, second, third = [await store.submit(new(f"job-{n}")) for n in range(3)]
    assert [each.id for each in await store.intents()] == [first.id, second.id, third.id]
    epoch = await lead(store)
    await store.record([Acknowledge(each.id, 1) for each in (first, second, third)], epoch)
    assert await store.intents() == []
    stopped = await store.request_stop(second.id, "ann")
    assert await store.intents() == [stopped]
    await store.record([Acknowledge(second.id, 1)], epoch)
    assert await store.intents() == [stopped]
    await store.record([Acknowledge(second.id, 2), Acknowledge(second.id, 1)], epoch)
    assert await store.intents() == []


async def test_a_wish_before_the_end_is_still_an_intent_after_it(store: Store) -> None:
    made = await store.submit(new())
    epoch = await lead(store)
    await store.record([*way_to(made.id, R), Acknowledge(made.id, 1)], epoch)
    await store.request_delete(made.id, "ann")
    await store.record(way_to(made.id, T)[3:], epoch)
    assert [each.id for each in await store.intents()] == [made.id]


async def test_find_by_id_name_and_prefix(store: Store) -> None:
    old = await store.submit(new("spark-a"))
    newer = await store.submit(new("spark-a"))
    other = await store.submit(new("spark-ab"))
    dask = await store.submit(new("dask_%", owner="bob"))
    assert (await store.find(None, str(old.id))).id == old.id
    assert (await store.find(None, "spark-a")).id == newer.id
    assert (await store.find(None, "spark-ab")).id == other.id
    assert (await store.find(None, "dask_")).id == dask.id
    assert (await store.find("bob", "d")).id == dask.id
    with pytest.raises(Conflict, match="spark-a, spark-ab"):
        await store.find(None, "spark")
    for reference in ("SPARK-A", "spark-abc", "%", "_", "dask%", "", "\x00", "1.0", "\u0661"):
        with pytest.raises(NotFound):
            await store.find(None, reference)
    for reference in ("dask", str(dask.id)):
        with pytest.raises(NotFound):
            await store.find("ann", reference)


async def test_a_prefix_of_equal_names_is_the_newest(store: Store) -> None:
    await store.submit(new("night-job"))
    newest = await store.submit(new("night-job"))
    assert (await store.find(None, "nig")).id == newest.id


async def test_many_candidates_are_named_in_part(store: Store) -> None:
    for n in range(8):
        await store.submit(new(f"job-{n}"))
    with pytest.raises(Conflict, match=r"job-0, .*job-4, \.\.\.$"):
        await store.find(None, "job")


async def test_a_name_that_is_a_number_yields_to_the_id(store: Store) -> None:
    first = await store.submit(new("plain"))
    named = await store.submit(new("0" + str(first.id) + "77"))
    assert (await store.find(None, named.name)).id == named.id
    assert (await store.find(None, str(first.id))).id == first.id


async def test_pages_are_stable_while_others_submit(store: Store) -> None:
    made = [await store.submit(new(f"job-{n}")) for n in range(25)]
    seen: list[int] = []
    cursor = ""
    while True:
        page = await store.page(limit=10, cursor=cursor)
        seen += [execution.id for execution in page.items]
        await store.submit(new("late"))
        if not (cursor := page.next_cursor):
            break
    assert seen == [execution.id for execution in reversed(made)]


async def test_a_full_last_page_has_no_cursor(store: Store) -> None:
    for _ in range(4):
        await store.submit(new())
    first = await store.page(limit=2)
    last = await store.page(limit=2, cursor=first.next_cursor)
    assert (len(last.items), last.next_cursor) == (2, "")
    assert await store.page(owner="nobody") == await store.page(name="\x00")


async def test_pages_are_filtered(store: Store) -> None:
    ids = {}
    for name, owner, goal in [
        ("spark-1", "ann", Q),
        ("spark-2", "bob", R),
        ("dask", "ann", T),
        ("spark-3", "ann", R),
    ]:
        ids[name] = (await store.submit(new(name, owner))).id
        epoch = await lead(store)
        await store.record(way_to(ids[name], goal), epoch)
        await store.resign(epoch)

    async def names(**filters: object) -> list[str]:
        page = await store.page(**filters)
        return [execution.name for execution in page.items]

    assert await names() == ["spark-3", "dask", "spark-2", "spark-1"]
    assert await names(owner="ann") == ["spark-3", "dask", "spark-1"]
    assert await names(name="spark-") == ["spark-3", "spark-2", "spark-1"]
    assert await names(name="park") == []
    assert await names(statuses=frozenset({R, T})) == ["spark-3", "dask", "spark-2"]
    assert await names(statuses=frozenset({R}), owner="ann", name="sp") == ["spark-3"]
    assert await store.counts() == {Q: 1, R: 2, T: 1}


@pytest.mark.parametrize(
    "cursor",
    ["x", "before-", "before-0", "before--1", "before-1 OR 1=1", "before-\u0661", "\x00", "7"],
)
async def test_a_foreign_cursor_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(ValueError, match="not a cursor"):
        await store.page(cursor=cursor)


async def test_tokens(store: Store) -> None:
    late, early = Token("h2", "b", "ann", "admin", 2.5), Token("h1", "a", "bob", "user", 1.5)
    assert await store.tokens() == []
    await store.add_token(late)
    await store.add_token(early)
    await store.add_token(dataclasses.replace(late, role="user"))
    assert await store.tokens() == [early, late]
    assert await store.find_token("h2") == late
    assert await store.find_token("\x00") is None
    with pytest.raises(NotStorable):
        await store.add_token(dataclasses.replace(late, hash="\x00"))


async def test_a_user_with_an_impossible_name_is_refused(store: Store) -> None:
    made = await store.submit(new())
    for request in (
        store.request_stop(made.id, "\x00"),
        store.request_delete(made.id, "\x00"),
        store.request_scale(made.id, "f.s", 1, "\x00"),
    ):
        with pytest.raises(NotStorable):
            await request
    assert await store.get(made.id) == made
