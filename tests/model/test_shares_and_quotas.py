"""Shares as values: their bounds, their defaults, and the sentences about them."""

from collections.abc import Callable

import pytest

from zoe.model.codec import from_json, to_json
from zoe.model.quota import (
    EXCEEDS_QUOTA,
    UNLIMITED,
    Accounts,
    Quota,
    Team,
    User,
    longest_run_seconds,
    taken_to_start,
    why_too_large,
    why_too_long,
)
from zoe.model.resources import Resources
from zoe.model.zapp import Framework, Kind, Service, ZApp

FOUR = Quota(cores_milli=4000)
SHARES = Accounts(
    {"ann": User("ann", ("physics", "gone"), 2.0, Quota(gpus=1)), "bob": User("bob", ("physics",))},
    {"physics": Team("physics", quota=Quota(run_seconds=60.0))},
)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Quota(cores_milli=0), "cores_milli must be from 1 to"),
        (lambda: Quota(memory_bytes=1), "memory_bytes must be from"),
        (lambda: Quota(gpus=-1), "gpus must be from 0 to 1024, not -1"),
        (lambda: Quota(executions=10**9), "executions must be"),
        (lambda: Quota(run_seconds=float("nan")), "run_seconds must be"),
        (lambda: Quota(run_seconds=float("inf")), "run_seconds must be"),
        (lambda: Team("", quota=FOUR), "is not a name"),
        (lambda: Team("a/b"), "is not a name"),
        (lambda: Team("x" * 64), "is not a name"),
        (lambda: Team("t", weight=0.0), "the weight must be above 0"),
        (lambda: Team("t", weight=float("nan")), "the weight must be"),
        (lambda: Team("t", guaranteed=Resources(-1)), "guaranteed cores_milli must be from 0"),
        (lambda: User("ann", ("t", "t")), "a team is named twice"),
        (lambda: User("ann", tuple(f"t{n}" for n in range(33))), "in at most 32 teams"),
        (lambda: User("default", ("t",)), "in no team"),
    ],
)
def test_what_is_out_of_bounds_is_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_zero_forbids_what_can_be_counted() -> None:
    assert not Quota(gpus=0, executions=0, sessions=0).is_unlimited


def test_who_has_no_quota_of_their_own_has_the_default() -> None:
    default = Accounts(SHARES.users | {"default": User("default", quota=FOUR)}, SHARES.teams)
    assert SHARES.quota_of_user("carl") == SHARES.quota_of_user("bob") == UNLIMITED
    assert default.quota_of_user("carl") == default.quota_of_user("bob") == FOUR
    assert default.quota_of_user("ann") == Quota(gpus=1)
    assert (SHARES.weight_of_user("ann"), SHARES.weight_of_user("carl")) == (2.0, 1.0)


def test_teams_that_are_gone_are_nobodys() -> None:
    assert SHARES.teams_of("ann") == ("physics",)
    assert SHARES.teams_of("carl") == ()
    assert SHARES.team("gone") is None
    assert SHARES.quotas_of("bob", "gone") == ()
    assert [who for who, _ in SHARES.quotas_of("ann", "physics")] == ["ann", "the team physics"]


def test_they_survive_being_stored() -> None:
    for kind, values in ((User, SHARES.users), (Team, SHARES.teams)):
        for value in values.values():
            assert from_json(kind, to_json(value)) == value


def test_time_limits_are_compared_with_the_strictest_quota() -> None:
    quotas = (("ann", Quota(run_seconds=90.0)), ("the team physics", Quota(run_seconds=60.0)))
    assert longest_run_seconds(quotas) == 60
    assert longest_run_seconds((("ann", FOUR),)) is None
    assert why_too_long(quotas, None) is None
    assert why_too_long(quotas, 60.0) is None
    reason = why_too_long(quotas, 75.0)
    assert reason is not None
    assert reason.code == EXCEEDS_QUOTA
    assert "what the team physics runs may have a time limit of 1 minute" in reason.message


@pytest.mark.parametrize(
    ("quota", "said"),
    [
        (Quota(cores_milli=2999), "ann may use 2.999 cores at a time; this needs 3 cores"),
        (Quota(memory_bytes=2**31), "ann may use 2 GiB at a time; this needs 3 GiB"),
        (Quota(gpus=1), "ann may use 1 GPU at a time; this needs 3 GPUs"),
        (Quota(executions=0), "ann may run 0 executions at a time; this needs 1 execution"),
        (Quota(sessions=0), "ann may run 0 interactive sessions at a time"),
        (Quota(3000, 3 * 2**30, 3, 1, 1), ""),
    ],
)
def test_only_the_essential_part_counts_at_the_start(quota: Quota, said: str) -> None:
    service = Service("s", resources=Resources(1000, 2**30, 1), essential=3, elastic=100)
    zapp = ZApp("app", Kind.INTERACTIVE, (Framework("f", (service,)),))
    reason = why_too_large((("ann", quota),), taken_to_start(zapp))
    assert (reason.message if reason else "").startswith(said)
    assert bool(reason) == bool(said)
