"""What the master makes of its settings."""

from dataclasses import asdict

from zoe.master.main import sharing_of
from zoe.scheduler.sharing import Sharing
from zoe.settings import Settings


def test_every_setting_of_sharing_reaches_the_scheduler() -> None:
    """They are copied one by one, with their types checked: none may be forgotten."""
    chosen = {
        "generation": "rigid",
        "policy": "sjf",
        "half_life_seconds": 1.0,
        "reclaim": False,
        "grant_seconds": 2.0,
        "growth_gain": 0.3,
        "reclaim_per_plan": 3,
        "reclaim_per_hour": 4,
        "lost_seconds": 5.0,
        "backfill": "none",
        "backfill_depth": 6,
        "patience_seconds": 7.0,
        "rank": "spread",
    }
    unset = asdict(Sharing()).items() - chosen.items()
    assert len(unset) == len(chosen) + 1, "each of them is another value than the default"
    assert asdict(sharing_of(Settings(**chosen))) == {**chosen, "seed": 0}  # type: ignore[arg-type] # any setting
