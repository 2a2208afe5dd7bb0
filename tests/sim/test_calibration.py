"""How estimates learn from the past, with arithmetic by hand."""

import pytest

from zoe.sim.calibration import LARGEST, LEAST, Calibration, Outturn
from zoe.sim.forecast import Estimate, Unknown


def outturns(count: int, ratio: float = 2.0) -> list[Outturn]:
    return [Outturn(100.0, 110.0, 140.0, 100.0 + 10.0 * ratio) for _ in range(count)]


def test_nothing_is_corrected_before_enough_is_known() -> None:
    estimate = Estimate(20.0, 30.0)
    assert Calibration(outturns(LEAST - 1)).corrected(estimate, 10.0) == estimate


def test_waits_are_stretched_by_how_the_last_ones_came_true() -> None:
    # Predicted were waits of 10 and 40; all took 20: the median doubles, the other one halves.
    corrected = Calibration(outturns(LEAST)).corrected(Estimate(15.0, 110.0), 10.0)
    assert corrected == Estimate(20.0, 60.0)


def test_the_upper_quantile_covers_nine_in_ten() -> None:
    known = [Outturn(0.0, 10.0, 10.0, float(n)) for n in range(1, 100)]
    assert Calibration(known).factors == (5.0, 9.0)


def test_p90_never_comes_before_p50() -> None:
    known = [Outturn(0.0, 10.0, 1000.0, 100.0)] * LEAST
    corrected = Calibration(known).corrected(Estimate(10.0, 12.0), 0.0)
    assert corrected == Estimate(100.0, 100.0)


def test_no_wait_is_stretched_without_end_and_none_ends_before_now() -> None:
    wild = Calibration([Outturn(0.0, 0.0, 0.0, 1e6)] * LEAST)
    assert wild.corrected(Estimate(5.0, 5.0), 5.0) == Estimate(5.0, 5.0)
    assert wild.corrected(Estimate(6.0, 7.0), 5.0) == Estimate(5.0 + LARGEST, 5.0 + 2 * LARGEST)
    tame = Calibration([Outturn(0.0, 1e6, 1e6, 0.0)] * LEAST)
    assert tame.corrected(Estimate(5.0, 15.0), 5.0) == Estimate(5.0, 5.0 + 10.0 / LARGEST)


@pytest.mark.parametrize("p50", [None, 20.0])
def test_what_nobody_can_tell_stays_untold(p50: float | None) -> None:
    estimate = Estimate(p50, None, Unknown.OPEN_END, (3,))
    corrected = Calibration(outturns(LEAST)).corrected(estimate, 10.0)
    assert corrected.p90 is None
    assert (corrected.p50 is None) == (p50 is None)
    assert corrected.because_of == (3,)
