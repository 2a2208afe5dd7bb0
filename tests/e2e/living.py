"""An instance that keeps a ledger: the parts of the applications of ``living_world.py``.

``living.py head|worker|driver|note``. Every attempt writes a line when it begins and, unless it is
killed, one when it ends. When it begins it also looks for earlier attempts of itself that live
still: that must never be. A test rules it by files in the workspace: ``open-N`` lets the head of
execution N listen, ``done-N`` lets its driver end, ``leave-N`` lets its head obey SIGTERM.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

PORT = 7000
EXECUTION = os.environ.get("ZOE_EXECUTION_ID", "")
WORKSPACE = Path(os.environ.get("ZOE_WORKSPACE", "."))
LEDGER = WORKSPACE / "ledger"
ME = "{}/{}.{}/{}".format(
    EXECUTION, *(os.environ.get(f"ZOE_{name}", "") for name in ("FRAMEWORK", "SERVICE", "INSTANCE"))
)
PAUSE_SECONDS = 0.05


def birth(pid: int) -> int:
    """Return when a process began, in ticks; 0 when it lives no more."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])


def write(what: str, **more: object) -> None:
    """Add a line to the ledger, whole or not at all."""
    attempt = int(Path.cwd().parent.name.rpartition(".")[2])
    entry = {"instance": ME, "attempt": attempt, "pid": os.getpid(), "what": what, **more}
    with LEDGER.open("ab", buffering=0) as ledger:
        ledger.write(json.dumps(entry).encode() + b"\n")


def earlier_lives() -> list[int]:
    """Return the processes of earlier attempts of this instance that live still."""
    if not LEDGER.exists():
        return []
    entries = [json.loads(line) for line in LEDGER.read_text().splitlines()]
    return [
        entry["pid"]
        for entry in entries
        if entry["what"] == "begins"
        and entry["instance"] == ME
        and birth(entry["pid"]) == entry["birth"]
    ]


def wait_for(name: str) -> None:
    """Wait until the test has written the file ``name-N``."""
    while not (WORKSPACE / f"{name}-{EXECUTION}").exists():
        time.sleep(PAUSE_SECONDS)


def obey(*_: object) -> None:
    """End at SIGTERM; the head may be told to take its time."""
    if sys.argv[1] == "head" and (WORKSPACE / f"linger-{EXECUTION}").exists():
        wait_for("leave")
    write("ends")
    os._exit(0)


def head() -> None:
    """Answer everybody."""
    wait_for("open")
    with socket.create_server((os.environ["ZOE_ADDRESS"], PORT)) as server:
        while True:
            peer, _ = server.accept()
            peer.close()


def ask_head() -> None:
    """Talk to the head, which is there as long as we are."""
    socket.create_connection((os.environ["ZOE_HOSTS_CLUSTER_HEAD"], PORT), timeout=10).close()


def worker() -> None:
    """Work, beside a child that leaves our session and stays for ever."""
    subprocess.Popen(["setsid", "sleep", "100000"])
    while True:
        ask_head()
        time.sleep(0.2)


def driver() -> None:
    """Work until the test says that it is done."""
    talking = threading.Thread(target=wait_for, args=("done",))
    talking.start()
    talks = 0
    while talking.is_alive():
        ask_head()
        talks += 1
        talking.join(0.2)
    sys.stdout.write(f"talked {talks} times\n")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, obey)
    write("begins", birth=birth(os.getpid()), beside=earlier_lives())
    Path("begun").touch()  # what the ready check of the worker looks for
    parts = {"head": head, "worker": worker, "driver": driver, "note": lambda: None}
    parts[sys.argv[1]]()
    write("ends")
