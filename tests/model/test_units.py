"""Amounts as people write them."""

import math

import pytest

from zoe.model.units import cores_milli, duration_seconds, memory_bytes


@pytest.mark.parametrize(
    ("written", "milli"),
    [(2, 2000), (0.5, 500), ("0.5", 500), ("500m", 500), (0.1, 100), (10000, 10**7)],
)
def test_cores(written: object, milli: int) -> None:
    assert cores_milli(written) == milli


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("16GiB", 16 * 1024**3),
        ("16gib", 16 * 1024**3),
        ("2Gi", 2 * 1024**3),
        ("500MB", 500_000_000),
        ("2G", 2_000_000_000),
        ("1.5GiB", 3 * 1024**3 // 2),
        ("512 MiB", 512 * 1024**2),
        (1048576, 1048576),
        ("1048576B", 1048576),
        ("1PiB", 1024**5),
    ],
)
def test_memory(written: object, size: int) -> None:
    assert memory_bytes(written) == size


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("2h30m", 9000.0),
        ("90s", 90.0),
        ("500ms", 0.5),
        ("1d", 86400.0),
        ("1.5h", 5400.0),
        (90, 90.0),
        ("0.1", 0.1),
        ("1m500ms", 60.5),
        ("366d", 366 * 86400.0),
    ],
)
def test_duration(written: object, seconds: float) -> None:
    assert duration_seconds(written) == seconds


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("two", "'two' is not a number of cores, such as 2, 0.5 or 500m"),
        (" 3", "' 3' is not a number of cores, such as 2, 0.5 or 500m"),
        (-1, "-1 is not a number of cores, such as 2, 0.5 or 500m"),
        (math.nan, "nan is not a number of cores, such as 2, 0.5 or 500m"),
        (math.inf, "inf is not a number of cores, such as 2, 0.5 or 500m"),
        (True, "True is not a number of cores, such as 2, 0.5 or 500m"),
        ([], "[] is not a number of cores, such as 2, 0.5 or 500m"),
        ("9" * 60, f"'{'9' * 36}... is not a number of cores, such as 2, 0.5 or 500m"),
        ("0.5m", "'0.5m' is finer than a thousandth of a core"),
        (10001, "10001 cores are more than 10000"),
        (0, "at least 1m (a thousandth of a core) is needed"),
    ],
)
def test_cores_that_are_none(written: object, message: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the whole message is compared
        cores_milli(written)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("5XB", "'5XB' is not an amount of memory, such as 16GiB or 500MB"),
        ("-5MB", "'-5MB' is not an amount of memory, such as 16GiB or 500MB"),
        ("1.00000001KB", "'1.00000001KB' is not a whole number of bytes"),
        ("2PiB", "'2PiB' is more than 1PiB"),
        (16, "16 is less than 1MiB: is a unit missing, as in 16GiB?"),
    ],
)
def test_memory_that_is_none(written: object, message: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the whole message is compared
        memory_bytes(written)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("soon", "'soon' is not a length of time, such as 90s, 2h30m or 1d"),
        ("-5s", "'-5s' is not a length of time, such as 90s, 2h30m or 1d"),
        ("30m2h", "'30m2h' must name each unit once, the longest first"),
        ("1h1h", "'1h1h' must name each unit once, the longest first"),
        ("367d", "'367d' is more than 366d"),
        (0, "must be longer than nothing"),
    ],
)
def test_duration_that_is_none(written: object, message: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the whole message is compared
        duration_seconds(written)
    assert str(raised.value) == message
