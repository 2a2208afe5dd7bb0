"""What is read of files of the kernel: both versions of control groups, and a whole machine."""

import os
from pathlib import Path

from zoe.backends.machine import sample_machine
from zoe.backends.process import tree
from zoe.backends.process.cgroups import Group

MIB = 2**20


def write(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


def test_version_2(tmp_path: Path) -> None:
    group = Group(2, {"all": tmp_path})
    write(
        tmp_path,
        memory__current=90 * MIB,
        memory__peak=200 * MIB,
        memory__stat=f"anon 1\nfile 5\ninactive_file {30 * MIB}\nactive_file 2",
        memory__events="low 0\noom 3\noom_kill 2",
        cpu__stat="usage_usec 2500000\nuser_usec 1",
    )
    assert group.memory_bytes() == (60 * MIB, 170 * MIB)
    assert group.core_seconds() == 2.5
    assert group.memory_kills() == 2


def test_version_1(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("memory", "cpu", "pids", "cpuacct")}
    group = Group(1, folders)
    write(
        folders["memory"],
        memory__usage_in_bytes=90 * MIB,
        memory__max_usage_in_bytes=95 * MIB,
        memory__stat=f"cache 1\ntotal_inactive_file {30 * MIB}",
        memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 1",
    )
    write(folders["cpuacct"], cpuacct__usage=3_000_000_000)
    assert group.memory_bytes() == (60 * MIB, 65 * MIB)
    assert group.core_seconds() == 3.0
    assert group.memory_kills() == 1
    write(folders["cpu"], cpuacct__usage=4_000_000_000)
    joined = Group(1, {name: folders[name] for name in ("memory", "cpu", "pids")})
    assert joined.core_seconds() == 4.0


def test_a_group_that_is_gone_uses_nothing(tmp_path: Path) -> None:
    for version, names in ((1, ("memory", "cpu", "pids")), (2, ("all",))):
        group = Group(version, {name: tmp_path / "gone" / name for name in names})
        assert group.memory_bytes() == (0, 0)
        assert group.core_seconds() == 0
        assert group.pids(everywhere=False) == set()


def test_processes_and_those_that_are_gone() -> None:
    own = {os.getpid(), 2**22 + 1}
    assert tree.memory_bytes(own) > MIB
    assert tree.core_seconds(own) > 0
    assert tree.disk_bytes(own) >= 0


def test_a_machine(tmp_path: Path) -> None:
    write(
        tmp_path,
        meminfo="MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 400 kB\nHugePages_Total: 0",
        stat="cpu  100 20 30 900 50 5 6 7 8 9\ncpu0 1 1",
    )
    write(tmp_path / "pressure", memory="some avg10=12.50 avg60=0.00 avg300=0.00 total=1")
    seen = sample_machine("n1", tmp_path)
    assert (seen.memory_bytes, seen.memory_total_bytes) == (600 * 1024, 1000 * 1024)
    ticks = os.sysconf("SC_CLK_TCK")
    assert seen.core_seconds == (100 + 20 + 30 + 5 + 6) / ticks
    assert (seen.memory_stall, seen.cpu_stall) == (12.5, None)
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\nMemFree: 100 kB\n")
    assert sample_machine("n1", tmp_path).memory_bytes == 900 * 1024
