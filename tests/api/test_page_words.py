"""What the pages say, in words."""

from datetime import UTC, datetime, timedelta

import pytest

from zoe.api.web.words import expected, history_sentence, loss_sentence, sentence
from zoe.model.rest_executions import ForecastView, HistoryView, LossView


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stopped by admin", "Stopped by admin."),
        ("its essential instances need 4 cores", "Its essential instances need 4 cores."),
        ("main.driver died from signal 9: SIGKILL", "main.driver died from signal 9: SIGKILL."),
        ("It runs.", "It runs."),
        ("", ""),
    ],
)
def test_a_reason_becomes_a_sentence(text: str, said: str) -> None:
    assert sentence(text) == said


@pytest.mark.parametrize(
    ("kind", "message", "said"),
    [
        ("status", "in the queue", "In the queue."),
        ("instance", "ready", "web.helper.3: ready"),
        ("instance", "web.helper exited with 1", "web.helper.3 exited with 1"),
    ],
)
def test_what_happened_is_said_with_its_instance(kind: str, message: str, said: str) -> None:
    detail = {"id": "17/web.helper/3"} if kind == "instance" else {}
    now = datetime.now(UTC)
    entry = HistoryView(id=1, execution_id=17, at=now, kind=kind, message=message, detail=detail)
    assert history_sentence(entry) == said


NOON = datetime(2026, 5, 6, 12, tzinfo=UTC)
LATER, TOMORROW = NOON + timedelta(minutes=35), NOON + timedelta(days=1)


@pytest.mark.parametrize(
    ("p50", "p90", "because", "said"),
    [
        (NOON, LATER, "", "Predicted start: 12:00, by 12:35 UTC at the latest with 9 in 10."),
        (
            LATER,
            TOMORROW,
            "",
            "Predicted start: 12:35, by 2026-05-07 12:00 UTC at the latest with 9 in 10.",
        ),
        (
            NOON,
            None,
            "it is too far",
            "Predicted start: 12:00 UTC, and no latest time, because it is too far.",
        ),
        (None, None, "it is too far", "No estimate, because it is too far."),
    ],
)
def test_a_forecast_is_a_sentence(
    p50: datetime | None, p90: datetime | None, because: str, said: str
) -> None:
    assert expected(ForecastView(at=NOON, p50=p50, p90=p90, because=because), NOON) == said


def test_a_loss_names_its_rule() -> None:
    loss = LossView(at=NOON, service="f.w", instances=2, rule="reclaim", message="9 needs it")
    assert loss_sentence(loss) == "2 elastic instances of f.w had to go (rule reclaim): 9 needs it"
