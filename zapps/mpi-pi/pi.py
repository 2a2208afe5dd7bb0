"""Compute pi as the area below 4 / (1 + x²) from 0 to 1, each rank a part of the strips.

mpiexec -n 4 python3 pi.py [--strips 20000000]
"""

import argparse
import math
import socket
import sys

import numpy as np
from mpi4py import MPI

BLOCK = 1_000_000
"""Strips that are summed at once: so many fit into the caches."""
TOLERANCE = 1e-9


def part(rank: int, ranks: int, strips: int) -> float:
    """Return the sum of the strips ``rank``, ``rank + ranks``, and so on."""
    total = 0.0
    for begin in range(rank, strips, ranks * BLOCK):
        numbers = np.arange(begin, min(begin + ranks * BLOCK, strips), ranks, dtype=np.float64)
        middles = (numbers + 0.5) / strips
        total += float(np.sum(4.0 / (1.0 + middles * middles)))
    return total / strips


def main() -> int:
    """Print pi and who computed it; 1 when it is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strips", type=int, default=20_000_000)
    strips = parser.parse_args().strips
    world = MPI.COMM_WORLD
    pi = world.reduce(part(world.rank, world.size, strips))
    hosts = world.gather(socket.gethostname())
    if pi is None or hosts is None:
        return 0
    print(f"{world.size} ranks on {', '.join(hosts)}")
    print(f"pi is {pi:.12f}, wrong by {abs(pi - math.pi):.1e}")
    return 0 if abs(pi - math.pi) < TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
