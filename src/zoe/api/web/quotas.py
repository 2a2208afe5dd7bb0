"""How much of their quotas people use, as bars for the pages."""

from dataclasses import dataclass

from zoe.model.quota import said
from zoe.model.rest_accounts import UsageView

ALWAYS_SHOWN = ("cores_milli", "memory_bytes", "executions")
"""What everybody uses; GPUs and interactive sessions are shown where they are used or limited."""
TITLES = {
    "cores_milli": "Cores",
    "memory_bytes": "Memory",
    "gpus": "GPUs",
    "executions": "Executions",
    "sessions": "Interactive sessions",
}


@dataclass(frozen=True, slots=True)
class QuotaBar:
    """How much of one limit is used; ``limit`` None: there is none."""

    title: str
    used: int
    limit: int | None
    text: str
    """Both in words: ``12 cores of 16 cores``."""

    @property
    def is_full(self) -> bool:
        """Whether nothing is left; more may be used than a limit that was lowered allows."""
        return self.limit is not None and self.used >= self.limit


def quota_bars(usage: UsageView) -> list[QuotaBar]:
    """Return a bar for each limit, and one without an end for what is used without a limit."""
    bars = []
    for name, title in TITLES.items():
        used, limit = getattr(usage.used, name), getattr(usage.quota, name)
        if name in ALWAYS_SHOWN or used or limit is not None:
            of = "no limit" if limit is None else f"of {said(name, limit)}"
            words = f"{said(name, used)}{',' if limit is None else ''} {of}"
            bars.append(QuotaBar(title, used, limit, words))
    return bars
