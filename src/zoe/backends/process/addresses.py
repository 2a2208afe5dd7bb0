"""A loopback address for every instance that an execution may have, known before it starts.

Addresses come from 127.64.0.0/10 in chunks of 32, one chunk for 32 ordinals of one service of one
execution. Where the search for a free chunk begins depends only on the names, so the same instance
nearly always gets the same address, and two deployments on one machine rarely collide.
"""

from collections.abc import Mapping
from zlib import crc32

CHUNK = 32
CHUNKS = 2**22 // CHUNK
_FIRST = 127 << 24 | 64 << 16


class AddressesExhausted(Exception):
    """Every chunk of addresses is taken."""


class Addresses:
    """Which chunk belongs to which ``execution/service/chunk``; plain numbers, to be kept."""

    def __init__(self, deployment: str, chunks: Mapping[str, int] | None = None) -> None:
        self._deployment = deployment
        self.chunks = dict(chunks or {})
        self._taken = set(self.chunks.values())

    def of_service(self, execution_id: int, service: str, count: int) -> list[str]:
        """Return the addresses of the ordinals below ``count``, allocating what is missing."""
        addresses: list[str] = []
        for number in range(-(-count // CHUNK)):
            chunk = self._chunk(f"{execution_id}/{service}/{number}")
            addresses += [_dotted(chunk * CHUNK + offset) for offset in range(CHUNK)]
        return addresses[:count]

    def release(self, execution_id: int) -> None:
        """Give back all addresses of an execution."""
        mine = [key for key in self.chunks if key.startswith(f"{execution_id}/")]
        for key in mine:
            self._taken.discard(self.chunks.pop(key))

    def executions(self) -> set[int]:
        """Return the executions that hold addresses."""
        return {int(key.partition("/")[0]) for key in self.chunks}

    def _chunk(self, key: str) -> int:
        if key in self.chunks:
            return self.chunks[key]
        if len(self._taken) >= CHUNKS - 2:
            raise AddressesExhausted("all loopback addresses are taken")
        chunk = crc32(f"{self._deployment}/{key}".encode()) % CHUNKS
        # The first and the last chunk hold the network's own and its broadcast address.
        while chunk in self._taken or chunk in (0, CHUNKS - 1):
            chunk = (chunk + 1) % CHUNKS
        self.chunks[key] = chunk
        self._taken.add(chunk)
        return chunk


def _dotted(offset: int) -> str:
    number = _FIRST + offset
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))
