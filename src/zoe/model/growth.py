"""What one more instance brings, where an application has declared its speed-up curve."""

from zoe.model.amounts import counted
from zoe.model.execution import Execution
from zoe.model.zapp import Speedup


def worthwhile(speedup: Speedup, has: int, more: int, least_gain: float) -> int:
    """Return how many of ``more`` instances, on top of ``has``, are worth it one after the other.

    Each adds at least ``least_gain``, in parts of what the first instance alone does.
    """
    for count in range(more):
        if speedup.gain(has + count) < least_gain:
            return count
    return more


def grows_no_further(execution: Execution, least_gain: float) -> list[str]:
    """Say which services of an execution get no more elastic instances while others wait."""
    said = []
    for name, service in execution.zapp.services():
        if service.speedup is None:
            continue
        there = [each for each in execution.instances if each.service == name and each.is_placed]
        elastic = sum(not each.essential for each in there)
        gain = service.speedup.gain(len(there))
        if elastic < execution.elastic_count(name) and gain < least_gain:
            said.append(
                f"{name} gets no more than {counted(len(there), 'instance')} while others wait: "
                f"the next one would add {gain:.0%} of what the first one does, less than the "
                f"{least_gain:.0%} of the setting growth_gain"
            )
    return said
