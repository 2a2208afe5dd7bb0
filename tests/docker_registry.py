"""A registry of images for the tests: Debian's `docker-registry`, where the engine reaches it."""

import io
import json
import signal
import socket
import subprocess
import tarfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from docker_engine import TestEngine

USER, PASSWORD = "ada", "lovelace"
_HASH = "$2b$04$q7lVpRGYMphZiHLbHIggkupYFUxhjWhp16tC3BRV2mWz0f0cYN4fe"
PROGRAM = Path("/sbin/ldconfig")
"""It needs no library, so that an image of it alone runs; it says its version."""
COMMAND = ("/ldconfig", "--version")
READY_SECONDS = 20.0


@contextmanager
def registry_beside(
    engine: TestEngine, folder: Path, *, private: bool = False
) -> Iterator["TestRegistry"]:
    """Give a registry that runs; in the end neither it nor an image of it is left."""
    made = TestRegistry(folder, engine, private=private)
    made.start()
    try:
        yield made
    finally:
        made.stop()
        images = engine.docker("images", "--format", "{{.ID}} {{.Repository}}").splitlines()
        if ours := {each.split()[0] for each in images if made.name in each}:
            engine.docker("rmi", "-f", *ours)


class TestRegistry:
    """A registry that can be paused, stopped and started again."""

    __test__ = False

    def __init__(self, folder: Path, engine: TestEngine, *, private: bool = False) -> None:
        self._folder = folder
        self._engine = engine
        self._private = private
        self._process: subprocess.Popen[bytes] | None = None
        with socket.create_server((engine.host_address, 0)) as free:
            self._port = free.getsockname()[1]
        self.name = f"{engine.host_address}:{self._port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._folder.mkdir(exist_ok=True)
        (self._folder / "passwords").write_text(f"{USER}:{_HASH}\n")
        settings: dict[str, object] = {
            "version": "0.1",
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": str(self._folder / "data")}},
            "http": {"addr": self.name},
        }
        if self._private:
            passwords = {"realm": "zoe", "path": str(self._folder / "passwords")}
            settings["auth"] = {"htpasswd": passwords}
        config = self._folder / "config.yml"
        config.write_text(json.dumps(settings))
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "docker-registry", "serve", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                socket.create_connection((self._engine.host_address, self._port)).close()
                return
            except OSError:
                assert self._process.poll() is None, f"the registry ended; see {self._folder}/log"
                assert time.monotonic() < deadline, "the registry does not answer"
                time.sleep(0.02)

    def pause(self) -> None:
        """Let it neither answer nor refuse."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it, if it runs; what it keeps stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def image(self, tag: str = "1", *, repository: str = "") -> str:
        """Make a small image that nobody else has, keep it here only, and return its name."""
        name = f"{self.name}/{repository or f'lab/{uuid.uuid4().hex[:8]}'}:{tag}"
        archive = self._folder / "image.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(PROGRAM, "ldconfig")
            mark = uuid.uuid4().bytes
            entry = tarfile.TarInfo("mark")
            entry.size = len(mark)
            tar.addfile(entry, io.BytesIO(mark))
        self._engine.docker("import", "-", name, input=archive)
        client = self.passwords() if self._private else self._folder
        self._engine.docker("push", name, client=client)
        self._engine.docker("rmi", name)
        return name

    def passwords(self) -> Path:
        """Return the folder of what Docker's own client keeps after `docker login`."""
        folder = self._folder / "client"
        if not folder.exists():
            login = ("login", "-u", USER, "-p", PASSWORD, self.name)
            self._engine.docker(*login, client=folder)
        return folder
