"""The CURVE keys with which api and master know each other: made once, kept in a closed folder.

``master.secret`` and ``api.secret`` are the secret halves, ``master.public`` and ``api.public``
the public ones. The master answers exactly those whose public key lies in its folder as
``<name>.public``.
"""

import os
import re
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import zmq

from zoe.model.errors import ZoeError

MASTER = "master"
API = "api"


class KeysUnusable(ZoeError):
    """The keys of api and master cannot be used."""


@dataclass(frozen=True, slots=True)
class ServerKeys:
    """What the master needs: its pair and whom it answers, names by public key (Z85)."""

    public: bytes
    secret: bytes = field(repr=False)
    clients: dict[bytes, str]


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """What the api needs: its pair and the master's public key (Z85)."""

    public: bytes
    secret: bytes = field(repr=False)
    server: bytes


def make_keys(folder: Path) -> None:
    """Make both pairs if ``folder`` is absent or empty; several programs may do it at once."""
    try:
        if folder.is_dir() and any(folder.iterdir()):
            return
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f".{folder.name}-", dir=folder.parent, ignore_cleanup_errors=True
        ) as closed:  # mode 0700
            fresh = Path(closed, folder.name)
            fresh.mkdir(mode=0o700)
            for name in (MASTER, API):
                public, secret = zmq.curve_keypair()
                _write(fresh / f"{name}.secret", secret)
                _write(fresh / f"{name}.public", public)
            _sync(fresh)
            try:
                fresh.rename(folder)  # replaces nothing but an empty folder
            except OSError:
                if not any(folder.iterdir()):
                    raise  # else another program was first, and its keys count
        _sync(folder.parent)
    except OSError as error:
        raise KeysUnusable(f"The keys cannot be made in {folder}: {error}") from error


def server_keys(folder: Path) -> ServerKeys:
    """Return the master's keys, made first if there are none; raises KeysUnusable."""
    make_keys(folder)
    secret = _read_secret(folder, MASTER)
    clients = {
        _read(file): file.stem for file in sorted(folder.glob("*.public")) if file.stem != MASTER
    }
    if not clients:
        raise KeysUnusable(
            f"{folder} holds nobody's public key, so the master would answer nobody.",
            hint=f"copy the api's {API}.public into it",
        )
    return ServerKeys(zmq.curve_public(secret), secret, clients)


def client_keys(folder: Path) -> ClientKeys:
    """Return the api's keys, made first if there are none; raises KeysUnusable."""
    make_keys(folder)
    secret = _read_secret(folder, API)
    return ClientKeys(zmq.curve_public(secret), secret, _read(folder / f"{MASTER}.public"))


def _write(file: Path, key: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as target:
        target.write(key + b"\n")
        target.flush()
        os.fsync(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_secret(folder: Path, name: str) -> bytes:
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o077:
        raise KeysUnusable(
            f"The folder of the keys, {folder}, is open to other users (mode {mode:04o}).",
            hint=f"if nobody can have read the keys: chmod 700 {folder}; else delete it and start "
            "master and api again",
        )
    return _read(folder / f"{name}.secret", secret=True)


def _read(file: Path, *, secret: bool = False) -> bytes:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
        with open(descriptor, "rb") as source:
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
            key = source.read(100).strip()
    except OSError as error:
        raise KeysUnusable(
            f"The key {file} cannot be read: {error.strerror}.",
            hint="delete the folder of the keys on all machines to have new ones made, or copy the "
            "missing file from the other machine",
        ) from error
    if secret and mode & 0o077:
        raise KeysUnusable(
            f"The secret key {file} is open to other users (mode {mode:04o}).",
            hint=f"if nobody can have read it: chmod 600 {file}; else delete the folder",
        )
    if not _Z85_KEY.fullmatch(key):
        raise KeysUnusable(
            f"{file} does not hold a key (40 characters of Z85).",
            hint="delete the folder of the keys to have new ones made",
        )
    return key


_Z85_KEY = re.compile(rb"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
