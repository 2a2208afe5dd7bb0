"""How often and how long a request is repeated while nobody answers."""

from collections.abc import Iterator
from time import monotonic


def pauses(seconds: float) -> Iterator[float]:
    """Yield growing pauses between attempts that add up to ``seconds``."""
    pause = 0.05
    while seconds > 0:
        yield min(pause, seconds)
        seconds -= pause
        pause = min(pause * 2, 2.0)


def patience(seconds: float) -> Iterator[float]:
    """Yield :func:`pauses`, until it is ``seconds`` since the first failure: attempts take time."""
    until = monotonic() + seconds
    for pause in pauses(seconds):
        yield pause
        if monotonic() >= until:
            return


def is_final(status_code: int, began: float, seconds: float) -> bool:
    """Whether a refused request is not worth repeating for ``seconds``.

    A server that cannot serve now may soon, unless it has waited as long for that itself, since
    ``began`` on the monotonic clock.
    """
    return status_code != 503 or monotonic() - began >= seconds
