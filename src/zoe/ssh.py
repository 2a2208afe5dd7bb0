"""The way to the socket of an engine on another machine: OpenSSH's own client brings it here.

One client for each engine, with whatever its user has set up: config, keys, agent, known hosts.
"""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from zoe.model.engines import EngineSpec
from zoe.model.errors import ZoeError

OPEN_SECONDS = 20.0
"""How long it may take until a machine has let us in."""
CONNECT_SECONDS = 8
"""How long a machine may take to answer at all."""
ALIVE_SECONDS = 10
"""After so long a silence the other side is asked whether it is still there."""
ALIVE_TRIES = 3
"""How often it is asked, so long after each other, before the connection counts as broken."""
COMPLAINT_SECONDS = 2.0
"""How long a complaint is that of everybody whose connection failed."""
END_SECONDS = 2.0
"""Between SIGTERM and SIGKILL for a client."""
PAUSE_SECONDS = 0.05
"""Between two looks whether it is open."""

_OPTIONS = (
    "BatchMode=yes",  # nobody is there to ask
    "StrictHostKeyChecking=yes",  # whatever the user's config says
    "NoHostAuthenticationForLocalhost=no",
    f"ConnectTimeout={CONNECT_SECONDS}",
    f"ServerAliveInterval={ALIVE_SECONDS}",
    f"ServerAliveCountMax={ALIVE_TRIES}",
    "LogLevel=INFO",  # else it does not say why it failed
    "ExitOnForwardFailure=no",  # what else the user forwards there is not ours
    "ControlMaster=no",  # a client that is shared would keep the socket when ours ends
    "ControlPath=none",
)
_KNOW_IT = "as the user who runs Zoe, say once `ssh {}`, compare the fingerprint, and answer yes"
_TROUBLES = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "its host key is another one than known_hosts says",
        "somebody may be in between. If the machine was set up anew, `ssh-keygen -R` forgets "
        f"the old key; then, {_KNOW_IT}",
    ),
    ("Host key verification failed", "its host key is not known here", _KNOW_IT),
    (
        r"(?m)^\S+: Permission denied \(",
        "it does not let us in: permission denied",
        "does `ssh -o BatchMode=yes {}` work as the user who runs Zoe? A key with a passphrase "
        "has to be in an agent",
    ),
    (
        "open failed: administratively prohibited",
        "its ssh server does not let us have the socket",
        "it needs `AllowStreamLocalForwarding yes` in its sshd_config",
    ),
    (
        "open failed",
        "no engine answers at its socket, or that user may not use it",
        "does dockerd run there, is its socket where the address says, and is that user in the "
        "group docker?",
    ),
)
"""What a client says (a pattern), what that means, and what to try; {} is the destination."""


class SshFailed(ZoeError):
    """An engine cannot be reached by ssh."""


class Tunnel:
    """What brings the socket of an engine here, into a folder that only this user may enter."""

    def __init__(self, engine: EngineSpec) -> None:
        self._engine = engine
        self._folder = Path(mkdtemp(prefix="zoe-ssh-"))
        self.socket = self._folder / "engine.sock"
        self._said = self._folder / "said"
        self._process: subprocess.Popen[bytes] | None = None
        self._late_at = 0.0
        self._last_complaint = ("", "")
        self._complained_at = 0.0

    def begin(self) -> None:
        """Start a client, unless one is on its way; raises SshFailed when there is none."""
        if self._process is not None and self._process.poll() is None:
            return
        if shutil.which("ssh") is None:
            raise SshFailed(
                "this machine has no ssh", hint="install OpenSSH's client: openssh-client"
            )
        self.socket.unlink(missing_ok=True)
        self._said.unlink(missing_ok=True)
        self._late_at = time.monotonic() + OPEN_SECONDS
        options = [word for option in _OPTIONS for word in ("-o", option)]
        brings = f"{self.socket}:{self._engine.remote_socket}"
        with self._said.open("ab") as said:
            self._process = subprocess.Popen(
                # It ends when we do, however that is, and not by a key that was meant for us.
                [
                    *("setpriv", "--pdeathsig", "TERM", "ssh", "-N", "-T", *options),
                    *("-L", brings, "--", self._engine.ssh_destination),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
            )

    def is_open(self) -> bool:
        """Return whether the socket is here; raises SshFailed when it will not be."""
        if self._process is None:
            return False
        if self._process.poll() is None:
            if self.socket.exists():
                return True
            if time.monotonic() < self._late_at:
                return False
        why, hint = self.trouble()
        self._stop()
        raise SshFailed(why or f"it has not let us in within {OPEN_SECONDS:g} s", hint=hint)

    def trouble(self) -> tuple[str, str]:
        """Return what the client complained of just now, and what to try; "" if of nothing.

        What it has written is dropped: one that complains for days fills no disk.
        """
        now = time.monotonic()
        if (found := self._complaint()) or now > self._complained_at + COMPLAINT_SECONDS:
            self._last_complaint, self._complained_at = found or ("", ""), now
        return self._last_complaint

    def _complaint(self) -> tuple[str, str] | None:
        has_ended = self._process is not None and self._process.poll() is not None
        with suppress(FileNotFoundError), self._said.open("r+b") as file:
            said = file.read().decode(errors="replace").strip()
            file.truncate(0)
            for pattern, why, hint in _TROUBLES:
                if re.search(pattern, said):
                    return why, hint.format(self._engine.ssh_destination)
            if said and has_ended:  # else it is what a server says to everybody
                return said.rpartition("\n")[2].strip(), ""
        return None

    def close(self) -> None:
        """End the client, and remove its folder; takes a moment."""
        self._stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


@contextmanager
def tunnel_to(engine: EngineSpec) -> Iterator[Tunnel]:
    """Give an open tunnel; raises SshFailed."""
    tunnel = Tunnel(engine)
    try:
        tunnel.begin()
        while not tunnel.is_open():
            time.sleep(PAUSE_SECONDS)
        yield tunnel
    finally:
        tunnel.close()
