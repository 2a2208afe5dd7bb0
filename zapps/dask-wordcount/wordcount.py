"""Count the identifiers in every Python file of this environment, with dask.distributed.

    python3 wordcount.py [--scheduler tcp://host:8786] [--seconds 20] [--until FILE]
                         [--folder FOLDER]

One round counts every file once. With ``--seconds`` the rounds go on for that long, or until FILE
exists, and every round must find exactly what the first one found, whatever workers came and went
in between.
"""

import argparse
import keyword
import re
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from distributed import Client, Future, wait

CHUNK_BYTES = 1 << 20
"""How much source one task reads: about a tenth of a second of work."""
MERGE_WIDTH = 8
"""How many partial counts one task adds up."""
TOP = 20

TOKEN = re.compile(
    r"""\#[^\n]*                                  # a comment
    | [rRbBuUfF]{0,2}(?:
        \"{3}(?:\\.|[^\\])*?\"{3} | '{3}(?:\\.|[^\\])*?'{3}
      | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'
      )                                           # a string
    | \d\w*                                       # a number
    | ([^\W\d]\w*)                                # a name: the only group
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Summary:
    """What a round found: how many identifiers, how many different ones, the most frequent."""

    total: int
    distinct: int
    top: tuple[tuple[str, int], ...]


def identifiers(source: str) -> Iterable[str]:
    """Yield the names in ``source`` that are not keywords; strings and comments are skipped."""
    return (name for name in TOKEN.findall(source) if name and not keyword.iskeyword(name))


def count(paths: Sequence[str]) -> Counter[str]:
    """Count the identifiers of some files."""
    counts: Counter[str] = Counter()
    for path in paths:
        counts.update(identifiers(Path(path).read_text(encoding="utf-8", errors="replace")))
    return counts


def merge(parts: Sequence[Counter[str]]) -> Counter[str]:
    """Add up partial counts."""
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(part)
    return counts


def summarise(counts: Counter[str]) -> Summary:
    """Keep what is worth sending to the driver; equal counts sort by name."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return Summary(sum(counts.values()), len(counts), tuple(ranked[:1000]))


def find_files(folder: Path) -> list[tuple[str, int]]:
    """List the Python files under ``folder`` with their sizes in bytes, in order of path."""
    return [(str(path), path.stat().st_size) for path in sorted(folder.rglob("*.py"))]


def in_chunks(files: Iterable[tuple[str, int]]) -> list[list[str]]:
    """Group files into chunks of about CHUNK_BYTES."""
    chunks: list[list[str]] = []
    room = 0
    for path, size in files:
        if room <= 0:
            chunks.append([])
            room = CHUNK_BYTES
        chunks[-1].append(path)
        room -= size
    return chunks


def run_round(client: Client, chunks: Sequence[Sequence[str]]) -> Summary:
    """Count all chunks on the workers, add the counts up there, and fetch the summary alone."""
    futures: list[Future] = client.map(count, chunks, pure=False, retries=3)
    while len(futures) > 1:
        groups = [futures[i : i + MERGE_WIDTH] for i in range(0, len(futures), MERGE_WIDTH)]
        futures = client.map(merge, groups, pure=False, retries=3)
    summary = client.submit(summarise, futures[0], pure=False, retries=3)
    del futures
    wait(summary)
    result: Summary = summary.result()
    return result


def main() -> int:
    """Run the rounds and print the result; 1 when there is nothing to count or rounds differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scheduler", help="address; default: DASK_SCHEDULER_ADDRESS")
    parser.add_argument("--seconds", type=float, default=0, help="go on with rounds for so long")
    parser.add_argument("--until", type=Path, help="end earlier once this file exists")
    parser.add_argument("--folder", type=Path, default=Path(sysconfig.get_path("purelib")))
    options = parser.parse_args()

    files = find_files(options.folder)
    size = sum(size for _, size in files)
    chunks = in_chunks(files)
    if not chunks:
        print(f"no Python file under {options.folder}", file=sys.stderr)
        return 1
    print(f"{len(files)} files, {size} bytes, in {len(chunks)} chunks, from {options.folder}")

    first: Summary | None = None
    rounds = 0
    began = time.monotonic()
    with Client(options.scheduler, timeout=30) as client:
        while first is None or not (
            time.monotonic() - began >= options.seconds
            or (options.until is not None and options.until.is_file())
        ):
            started = time.monotonic()
            summary = run_round(client, chunks)
            took = time.monotonic() - started
            rounds += 1
            workers = len(client.scheduler_info(n_workers=-1)["workers"])
            print(
                f"round {rounds}: {took:.2f} s, {size / took / 1e6:.1f} MB/s, {workers} workers",
                flush=True,
            )
            if first is not None and summary != first:
                print(f"round {rounds} found something else than round 1", file=sys.stderr)
                return 1
            first = first or summary
    took = time.monotonic() - began

    print(f"\n{first.total} identifiers, {first.distinct} different ones; the top {TOP}:")
    for name, number in first.top[:TOP]:
        print(f"{number:>10}  {name}")
    print(
        f"\n{len(files)} files, {size} bytes, "
        f"{'1 round' if rounds == 1 else f'{rounds} rounds with equal results'}, "
        f"{rounds * size / took / 1e6:.1f} MB/s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
