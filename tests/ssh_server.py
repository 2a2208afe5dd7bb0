"""A real ssh server on loopback, in front of the sockets of this machine, for OpenSSH's client.

Its clients use a config of the test, by an ``ssh`` in PATH that adds ``-F``: OpenSSH looks for that
of a user in the folder that the system knows, whatever HOME says.
"""

import asyncio
import os
import shutil
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import asyncssh

SECONDS = 10.0
USER = "ada"
T = TypeVar("T")


class TestSshServer:
    """Lets one key in, and forwards to sockets unless it ``forbids`` that."""

    __test__ = False

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.forbids = False
        self.port = 0
        self.connections: list[asyncssh.SSHServerConnection] = []
        self.let_in = 0
        """How many connections there were."""
        self._folder = folder
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._key.write_private_key(folder / "id")
        (folder / "id").chmod(0o600)
        self.allow(self._key)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._listener: asyncssh.SSHAcceptor | None = None

    @property
    def url(self) -> str:
        return f"ssh://{USER}@127.0.0.1:{self.port}"

    @property
    def client(self) -> Path:
        """A folder with the ssh of this machine, for the beginning of PATH."""
        folder = self._folder / "bin"
        if not folder.exists():
            folder.mkdir()
            config = self._folder / "config"
            config.write_text(  # what is careless in it must not count
                f"IdentityFile {self._folder}/id\n"
                "IdentitiesOnly yes\n"
                f"UserKnownHostsFile {self._folder}/known_hosts\n"
                "GlobalKnownHostsFile none\n"
                "StrictHostKeyChecking no\n"
                "NoHostAuthenticationForLocalhost yes\n"
                "ControlMaster auto\n"
                f"ControlPath {self._folder}/control\n"
                "LogLevel QUIET\n"
            )
            script = folder / "ssh"
            script.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {config} "$@"\n')
            script.chmod(0o755)
        return folder

    def start(self) -> None:
        """Listen, at the same port as before; with another host key, if that was changed."""
        self._listener = self._do(self._listen())
        self.port = self._listener.get_port()

    def stop(self) -> None:
        """Break every connection off, and listen no longer."""
        if self._listener is not None:
            self._do(self._end())
            self._listener = None

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)
        self._loop.close()

    def change_host_key(self) -> None:
        """Be another machine to those who knew it; it listens no more until it is started."""
        self.stop()
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")

    def allow(self, key: asyncssh.SSHKey) -> None:
        """Let in whoever has this key, and nobody else."""
        key.write_public_key(self._folder / "allowed")

    def allow_nobody_there_is(self) -> None:
        self.allow(asyncssh.generate_private_key("ssh-ed25519"))

    def introduce(self) -> None:
        """Have its clients know its host key."""
        known = self.host_key.export_public_key().decode()
        (self._folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {known}")

    async def _listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_factory=lambda: _Session(self),
            server_host_keys=[self.host_key],
            authorized_client_keys=str(self._folder / "allowed"),
            reuse_address=True,
        )

    async def _end(self) -> None:
        assert self._listener is not None
        self._listener.close()
        for connection in self.connections:
            connection.abort()
        for connection in self.connections:
            await connection.wait_closed()
        self.connections.clear()

    def _do(self, what: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(SECONDS)


class _Session(asyncssh.SSHServer):
    def __init__(self, server: TestSshServer) -> None:
        self._server = server

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._server.connections.append(conn)

    def auth_completed(self) -> None:
        self._server.let_in += 1

    def unix_connection_requested(self, dest_path: str) -> bool:
        if self._server.forbids:
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed"
            )
        return True


@contextmanager
def ssh_server(folder: Path) -> Iterator[TestSshServer]:
    """Give a server that listens, and whose clients know it."""
    server = TestSshServer(folder)
    try:
        server.start()
        server.introduce()
        yield server
    finally:
        server.close()


def path_with(server: TestSshServer) -> str:
    """Return a PATH with the client of a server."""
    return f"{server.client}:{os.environ['PATH']}"
