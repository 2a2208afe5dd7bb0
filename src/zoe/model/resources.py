"""Amounts of cores, memory and GPUs as integers, so that sums are exact."""

from dataclasses import dataclass

CORE = 1000
"""Milli-cores in one core."""


@dataclass(frozen=True, slots=True)
class Resources:
    """An amount of each resource: thousandths of a core, bytes of memory, whole GPUs."""

    cores_milli: int = 0
    memory_bytes: int = 0
    gpus: int = 0

    def __add__(self, other: "Resources") -> "Resources":
        return Resources(
            self.cores_milli + other.cores_milli,
            self.memory_bytes + other.memory_bytes,
            self.gpus + other.gpus,
        )

    def __sub__(self, other: "Resources") -> "Resources":
        return Resources(
            self.cores_milli - other.cores_milli,
            self.memory_bytes - other.memory_bytes,
            self.gpus - other.gpus,
        )

    def __mul__(self, count: int) -> "Resources":
        return Resources(self.cores_milli * count, self.memory_bytes * count, self.gpus * count)

    def without(self, used: "Resources") -> "Resources":
        """Return what is left of this amount; nothing of it is below zero."""
        return Resources(
            max(0, self.cores_milli - used.cores_milli),
            max(0, self.memory_bytes - used.memory_bytes),
            max(0, self.gpus - used.gpus),
        )

    def fits_in(self, room: "Resources") -> bool:
        """Whether this amount is at most ``room`` in every dimension (an exact fit fits)."""
        return (
            self.cores_milli <= room.cores_milli
            and self.memory_bytes <= room.memory_bytes
            and self.gpus <= room.gpus
        )


NOTHING = Resources()
