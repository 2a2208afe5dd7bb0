"""Count the words of all files in a folder, with Spark.

spark-submit wordcount.py FOLDER [--rounds 1] [--until FILE] [--result FILE]

A word is letters of ASCII, as they are written. Every round must find exactly what the first one
found, whatever workers came and went in between. The result has a line for each word, its number
first, the most frequent on top.
"""

import argparse
import re
import sys
import time
from collections.abc import Sequence
from operator import add
from pathlib import Path

from pyspark import RDD, SparkContext

WORD = re.compile(rb"[A-Za-z]+")
PARTITION_BYTES = 1 << 20
"""How much one task counts."""
TOP = 20


def parts(files: Sequence[Path]) -> list[tuple[str, int, int]]:
    """Cut the files into parts: name, begin and end, in bytes."""
    sizes = [(file, file.stat().st_size) for file in files]
    return [
        (str(file), begin, min(begin + PARTITION_BYTES, size))
        for file, size in sizes
        for begin in range(0, size, PARTITION_BYTES)
    ]


def words_of(part: tuple[str, int, int]) -> list[tuple[str, int]]:
    """Count the words that begin in a part; one at its end is read to its own end."""
    name, begin, end = part
    counts: dict[bytes, int] = {}
    with Path(name).open("rb") as stream:
        stream.seek(max(begin - 1, 0))
        before = stream.read(1) if begin else b""
        text = stream.read(end - begin)
        while text[-1:].isalpha() and (more := stream.read(1)).isalpha():
            text += more
    if before.isalpha():
        text = text.lstrip(bytes(range(65, 91)) + bytes(range(97, 123)))
    for word in WORD.findall(text):
        counts[word] = counts.get(word, 0) + 1
    return [(word.decode(), count) for word, count in counts.items()]


def count(spark: SparkContext, cut: Sequence[tuple[str, int, int]]) -> list[tuple[str, int]]:
    """Return every word with its number, the most frequent first."""
    counted: RDD[tuple[str, int]] = spark.parallelize(cut, len(cut)).flatMap(words_of)
    found = counted.reduceByKey(add, max(len(cut) // 8, 1)).collect()
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))


def executors(spark: SparkContext) -> int:
    """Return how many executors there are now."""
    return len(spark._jsc.sc().statusTracker().getExecutorInfos()) - 1  # one is the driver


def main() -> int:
    """Run the rounds and write the result; 1 when there is nothing to count or rounds differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--until", type=Path, help="end earlier once this file exists")
    parser.add_argument("--result", type=Path, default=Path("words.txt"))
    options = parser.parse_args()

    files = sorted(file for file in options.folder.rglob("*") if file.is_file())
    cut = parts(files)
    size = sum(end - begin for _, begin, end in cut)
    if not cut:
        print(f"no text in {options.folder}", file=sys.stderr)
        return 1
    print(f"{len(files)} files, {size} bytes, in {len(cut)} parts", flush=True)
    first: list[tuple[str, int]] = []
    spark = SparkContext(appName="wordcount")
    spark.setLogLevel("WARN")
    for number in range(1, options.rounds + 1):
        began = time.monotonic()
        found = count(spark, cut)
        took = time.monotonic() - began
        print(
            f"round {number}: {took:.1f} s, {size / took / 1e6:.1f} MB/s, "
            f"{executors(spark)} executors",
            flush=True,
        )
        if first and found != first:
            print(f"round {number} found something else than round 1", file=sys.stderr)
            return 1
        first = found
        if options.until is not None and options.until.is_file():
            break
    spark.stop()
    options.result.write_text("".join(f"{number} {word}\n" for word, number in first))
    print(f"{sum(n for _, n in first)} words, {len(first)} different ones; the top {TOP}:")
    for word, number in first[:TOP]:
        print(f"{number:>10}  {word}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
