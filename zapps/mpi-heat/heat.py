"""Let heat spread over a plate, each rank with some of its rows, and compare with one process.

mpiexec -n 4 python3 heat.py [--size 400] [--steps 500]

The upper edge is hot, the others are cold. In each step every inner point becomes the mean of its
four neighbours; ranks exchange the rows at their borders. Every point is computed from the same
numbers in the same order as in one process, so the results must be equal to the last bit.
"""

import argparse
import hashlib
import sys
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from mpi4py import MPI

Plate = npt.NDArray[np.float64]
HOT = 100.0


def cold_plate(rows: int, columns: int) -> Plate:
    """Return a plate that is cold everywhere."""
    return np.zeros((rows, columns))


def spread(plate: Plate, steps: int, exchange: Callable[[Plate], None]) -> Plate:
    """Return the plate after some steps; ``exchange`` brings in the edges that others compute."""
    for _ in range(steps):
        exchange(plate)
        after = plate.copy()
        after[1:-1, 1:-1] = 0.25 * (
            plate[:-2, 1:-1] + plate[2:, 1:-1] + plate[1:-1, :-2] + plate[1:-1, 2:]
        )
        plate = after
    return plate


def in_one_process(size: int, steps: int) -> Plate:
    """Return the inner rows after the steps, computed here alone."""
    plate = cold_plate(size + 2, size)
    plate[0] = HOT
    return spread(plate, steps, lambda _: None)[1:-1]


def by_all_ranks(world: MPI.Intracomm, size: int, steps: int) -> Plate | None:
    """Return the inner rows after the steps on rank 0, computed by all ranks."""
    bounds = [size * rank // world.size for rank in range(world.size + 1)]
    plate = cold_plate(bounds[world.rank + 1] - bounds[world.rank] + 2, size)
    if world.rank == 0:
        plate[0] = HOT
    above = world.rank - 1 if world.rank > 0 else MPI.PROC_NULL
    below = world.rank + 1 if world.rank < world.size - 1 else MPI.PROC_NULL

    def exchange(plate: Plate) -> None:
        world.Sendrecv(plate[1], above, recvbuf=plate[-1], source=below)
        world.Sendrecv(plate[-2], below, recvbuf=plate[0], source=above)

    parts = world.gather(spread(plate, steps, exchange)[1:-1])
    return None if parts is None else np.concatenate(parts)


def main() -> int:
    """Print what came out; 1 when it differs from what one process computes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=400, help="rows and columns")
    parser.add_argument("--steps", type=int, default=500)
    options = parser.parse_args()
    world = MPI.COMM_WORLD
    if options.size < world.size:
        parser.error(f"{options.size} rows are too few for {world.size} ranks")
    began = time.monotonic()
    plate = by_all_ranks(world, options.size, options.steps)
    if plate is None:
        return 0
    took = time.monotonic() - began
    print(f"{world.size} ranks, {options.steps} steps of {plate.size} points in {took:.2f} s")
    print(f"mean {plate.mean():.6f}, checksum {hashlib.sha256(plate.tobytes()).hexdigest()[:16]}")
    if not np.array_equal(plate, in_one_process(options.size, options.steps)):
        print("one process computes something else", file=sys.stderr)
        return 1
    print("equal to the result of one process")
    return 0


if __name__ == "__main__":
    sys.exit(main())
