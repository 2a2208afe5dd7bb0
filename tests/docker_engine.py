"""A Docker Engine for the tests, in a network namespace of its own; one in each test process.

The engine and its images are kept in a folder (``ZOE_TEST_CACHE``, else in the user's cache), so
that the base image is made once. Several at a time take different slots: a slot has a folder, a
namespace, a network ``10.77.<slot>.0/24`` to it, and ``10.<80+slot>.0.0/16`` for its containers,
to which this machine has a route, as the machine of an engine has.
"""

import fcntl
import hashlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

IMAGE = "debian:bookworm-slim"
SLOTS = 16
TRUSTED = Path("/usr/local/share/ca-certificates")
"""The authorities that this machine trusts beyond those that everybody does."""
READY_SECONDS = 60.0
# With version 1, every hierarchy of this machine: the engine's runtime looks for each.
_CGROUPS = """
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then mount -t cgroup2 cgroup2 /sys/fs/cgroup; else
    mount -t tmpfs cgroup /sys/fs/cgroup
    while IFS=: read -r number names path; do
        [ -n "$names" ] || continue
        folder=/sys/fs/cgroup/${names#name=}
        mkdir "$folder"
        case $names in name=*) names=none,$names ;; esac
        mount -t cgroup -o "$names" cgroup "$folder"
    done </proc/self/cgroup
fi
"""


def cache_folder() -> Path:
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zoe-testbed"
    return Path(os.environ.get("ZOE_TEST_CACHE") or default)


class TestEngine:
    """A dockerd that can be killed and started again; what runs in it goes on meanwhile."""

    __test__ = False

    def __init__(self, slot: int) -> None:
        self.address = f"10.77.{slot}.2"
        """Where its published ports are reached."""
        self.host_address = f"10.77.{slot}.1"
        """Where it reaches this machine."""
        self._slot = slot
        self._set_places(f"engine-{slot}", f"zoe-test-{slot}", f"zoetest{slot}")

    def _set_places(self, folder: str, space: str, link: str) -> None:
        self.folder = cache_folder() / folder
        self.socket = self.folder / "docker.sock"
        self.url = f"unix://{self.socket}"
        self._space = space
        self._link = link
        self._process: subprocess.Popen[bytes] | None = None
        self._holder: subprocess.Popen[bytes] | None = None

    def docker(
        self,
        *arguments: str,
        input: Path | None = None,
        client: Path | None = None,
        seconds: float = READY_SECONDS,
    ) -> str:
        """Run a command of the engine's own client; return what it prints.

        ``client`` is the folder of what it keeps, as passwords of registries.
        """
        keeps = ("--config", str(client)) if client else ()
        with (input or Path(os.devnull)).open("rb") as stdin:
            done = subprocess.run(
                ["docker", *keeps, "-H", self.url, *arguments],
                stdin=stdin,
                capture_output=True,
                text=True,
                check=False,
                timeout=seconds,
            )
        assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
        return done.stdout.strip()

    def start(self, *options: str) -> None:
        """Start the daemon, and wait until it answers."""
        assert self._holder is not None
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig", "TERM"),
                    *("nsenter", "-t", str(self._holder.pid), "--mount", "--net", "--uts"),
                    *("dockerd", "--data-root", f"{self.folder}/data", "-H", self.url),
                    *("--exec-root", f"{self.folder}/exec", "--pidfile", f"{self.folder}/pid"),
                    *("--cgroup-parent", f"/{self._space}"),
                    *self._options(),
                    *options,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + READY_SECONDS
        while subprocess.run(
            ["docker", "-H", self.url, "info"], capture_output=True, check=False
        ).returncode:
            assert self._process.poll() is None, f"dockerd has ended; see {self.folder}/log"
            assert time.monotonic() < deadline, f"dockerd does not answer; see {self.folder}/log"
            time.sleep(0.05)
        self._ip("netns", "exec", self._space, "iptables", "-I", "DOCKER-USER", "-j", "ACCEPT")

    def _options(self) -> tuple[str, ...]:
        pool = f"base=10.{80 + self._slot}.0.0/16,size=24"
        registries = ("--insecure-registry", f"{self.host_address}/32")
        return ("--live-restore", "--default-address-pool", pool, *registries)

    def publish_at(self, first: int, last: int) -> None:
        """Let the next daemon publish ports at these numbers only."""
        setting = f"net.ipv4.ip_local_port_range={first} {last}"
        self._ip("netns", "exec", self._space, "sysctl", "-w", setting)

    def kill(self) -> None:
        """Kill the daemon as a crash does; containers go on."""
        assert self._process is not None
        record = self.folder / "exec/containerd/containerd.pid"
        helper = Path("/proc") / record.read_text() / "stat"
        self._process.kill()
        self._process.wait()
        deadline = time.monotonic() + READY_SECONDS
        # Its helper dies with it, and while that is a zombie the next daemon takes it for alive.
        while helper.exists() and helper.read_text().rpartition(")")[2].split()[0] != "Z":
            assert time.monotonic() < deadline, "containerd outlives its daemon"
            time.sleep(0.01)
        record.unlink(missing_ok=True)

    def stop(self) -> None:
        """End the daemon with everything in it."""
        self.empty()
        assert self._process is not None
        self._process.terminate()
        self._process.wait(READY_SECONDS)

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Have no room on its disk for another container meanwhile; none may be there."""
        assert self._holder is not None
        inside = ("nsenter", "-t", str(self._holder.pid), "--mount")
        place = f"{self.folder}/data/containers"
        full = ("-t", "tmpfs", "-o", "nr_inodes=1", "tmpfs")
        subprocess.run([*inside, "mount", *full, place], check=True)
        try:
            yield
        finally:
            subprocess.run([*inside, "umount", place], check=True)

    def recount(self, network: str) -> None:
        """Begin anew because of a network that says it is used while nothing is in it.

        An engine sometimes counts wrong, until it is started again:
        https://github.com/moby/moby/issues/42119.
        """
        with pytest.raises(AssertionError, match="has active endpoints"):  # or Zoe had removed it
            self.docker("network", "rm", network)
        self.kill()
        self.start()

    def empty(self) -> None:
        """Remove every container and network."""
        if containers := self.docker("ps", "-aq").split():
            self.docker("rm", "-f", "-v", *containers)
        self.docker("network", "prune", "-f")

    def bring_image(self) -> None:
        """Have the base image there."""
        base = base_image()
        mark = f"zoe.test.base={base.stem}"
        if not self.docker("images", "-q", "--filter", f"label={mark}", IMAGE):
            self.docker("import", "--change", f"LABEL {mark}", "-", IMAGE, input=base)

    def things(self) -> set[str]:
        """Return every container, network and volume, by name: the engine's own get new ids."""
        lists = (
            ("ps", "-a", "--format", "container {{.Names}}"),
            ("network", "ls", "--format", "network {{.Name}}"),
            ("volume", "ls", "--format", "volume {{.Name}}"),
        )
        return {thing for arguments in lists for thing in self.docker(*arguments).splitlines()}

    def inspect(self, container: str) -> dict[str, object]:
        (found,) = json.loads(self.docker("inspect", container))
        return dict(found)

    def connect(self) -> None:
        """Make the namespace, with a link to it and a route to its containers."""
        self.disconnect()
        self._enter(self.host_address)
        self._ip("addr", "add", f"{self.host_address}/24", "dev", self._link)
        self._ip("route", "add", f"10.{80 + self._slot}.0.0/16", "via", self.address)

    def _enter(self, gateway: str) -> None:
        """Make the namespace and its link, with the mounts that daemons in it have."""
        self._ip("netns", "add", self._space)
        self._ip(
            *("link", "add", self._link, "type", "veth"),
            *("peer", "name", "eth0", "netns", self._space),
        )
        self._ip("link", "set", self._link, "up")
        self._ip("-n", self._space, "addr", "add", f"{self.address}/24", "dev", "eth0")
        self._ip("-n", self._space, "link", "set", "eth0", "up")
        self._ip("-n", self._space, "link", "set", "lo", "up")
        self._ip("-n", self._space, "route", "add", "default", "via", gateway)
        # One process holds the mounts that daemons which follow each other share.
        self.folder.mkdir(parents=True, exist_ok=True)
        script = (
            "set -e; mount --make-rprivate /; umount -l /sys; mount -t sysfs sys /sys;"
            f"mount -t tmpfs run /run; {self._set_up()}\n{_CGROUPS}\n"
            "echo held; exec sleep infinity"
        )
        self._holder = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", self._space),
                *("unshare", "--mount", "--uts", "bash", "-c", script),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"held\n"

    def _set_up(self) -> str:
        """Return what a shell does in the namespace before a daemon is started there."""
        return ":"

    def disconnect(self) -> None:
        """Remove the namespace and the link; the route goes with it."""
        if self._holder is not None:
            self._holder.kill()
            self._holder.communicate()
        for arguments in (("link", "del", self._link), ("netns", "del", self._space)):
            subprocess.run(["ip", *arguments], capture_output=True, check=False)

    @staticmethod
    def _ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextmanager
def held(file: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a lock; yields whether it is held."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


def base_image() -> Path:
    """Return the base image as an archive, made when it is not there: nothing is pulled.

    It trusts whom this machine trusts, so that what is built from it reaches the same servers.
    """
    trusted = sorted(TRUSTED.glob("**/*.crt"))
    key = hashlib.sha256(b"".join(file.read_bytes() for file in trusted)).hexdigest()[:16]
    image = cache_folder() / f"base-{key}.tar"
    with held(cache_folder() / "base.lock", wait=True):
        if not image.exists():
            draft = image.with_suffix(".part")
            command = ["mmdebstrap", "--variant=minbase", "--format=tar"]
            command += [f'--customize-hook=copy-in {file} "{TRUSTED}"' for file in trusted]
            if trusted:
                command.insert(3, f'--customize-hook=mkdir -p "$1{TRUSTED}"')
            command += ["bookworm", str(draft)]
            subprocess.run(command, check=True, capture_output=True)
            draft.rename(image)
    return image


@contextmanager
def free_slot(kind: str) -> Iterator[int]:
    """Take the first number that no other test process has."""
    for slot in range(SLOTS):
        with held(cache_folder() / f"{kind}-{slot}.lock", wait=False) as mine:
            if mine:
                yield slot
                return
    raise AssertionError(f"all {SLOTS} slots of {kind} are in use")


@pytest.fixture(scope="session")
def engine() -> Iterator[TestEngine]:
    """An engine with the base image, for all tests of this process."""
    with engine_of_its_own() as found:
        yield found


@pytest.fixture(scope="session")
def second_engine() -> Iterator[TestEngine]:
    """Another one, for the tests of this process that need two."""
    with engine_of_its_own() as found:
        yield found


@contextmanager
def engine_of_its_own() -> Iterator[TestEngine]:
    """Give an engine with the base image; in the end nothing is left of it but its images."""
    with free_slot("engine") as slot:
        engine = TestEngine(slot)
        engine.connect()
        try:
            engine.start()
            engine.empty()
            engine.bring_image()
            yield engine
            engine.stop()
        finally:
            engine.disconnect()
