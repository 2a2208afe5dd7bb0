"""What the pages say, in words."""

from datetime import UTC, datetime

import pytest

from zoe.api.web.words import history_sentence, sentence
from zoe.model.rest import HistoryView


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
