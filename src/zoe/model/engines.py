"""The Docker Engines of a deployment, as the administrator writes them down.

``<name> <where> [cores=8] [memory=16GiB] [gpus=0,1] [labels=ssd,fast] [address=10.0.0.5]``,
several with ``;`` between them. Where it listens is a socket, as ``unix:///run/docker.sock``, a
socket of another machine, as ``ssh://<user>@<host>[:<port>][/run/docker.sock]``, or
``tcp://<host>:<port>`` with ``tls=<folder>`` (or, to be without, the word ``insecure``).
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from zoe.model import units
from zoe.model.gpus import parse_gpus
from zoe.model.resources import CORE

MAX_ENGINES = 1000
SCHEME = "unix://"
TCP_SCHEME = "tcp://"
SSH_SCHEME = "ssh://"
DEFAULT_SOCKET = "/var/run/docker.sock"
"""Where an engine listens that is reached by ssh, when nobody says."""
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_ADDRESS = re.compile(r"[A-Za-z0-9.:-]{1,253}")
_LABEL = re.compile(r"[A-Za-z0-9_./:-]{1,64}")
_TCP = re.compile(rf"{TCP_SCHEME}([A-Za-z0-9.-]{{1,253}}|\[[0-9A-Fa-f:.]+\]):([0-9]{{1,5}})")
# What a client takes for an option, or expands, is no user, host or path.
_SSH = re.compile(
    rf"({SSH_SCHEME}(?:[A-Za-z0-9_][A-Za-z0-9_.-]{{0,63}}@)?"
    r"([A-Za-z0-9_][A-Za-z0-9_.-]{0,252}|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?)"
    r"/?(/[A-Za-z0-9_./@+-]{1,90})?"
)
_PORT_MAX = 65535


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """One engine: the name of its node, where it listens, how much of its machine to give away."""

    name: str
    url: str
    cores_milli: int = 0
    """0: all that the engine tells."""
    memory_bytes: int = 0
    """0: nine tenths of what the engine tells."""
    gpus: tuple[str, ...] = ()
    labels: frozenset[str] = frozenset()
    address: str = ""
    """Where people on other machines reach this one; empty: no ports are published.

    Of an engine on another machine it is the host of its address, unless another is given.
    """
    tls: str = ""
    """Folder of ca.pem, cert.pem and key.pem, for an engine that listens on a port."""
    insecure: bool = False
    """It listens on a port without TLS, and the administrator has said so."""

    @property
    def socket(self) -> str:
        """The path of its socket on this machine; empty when it is reached by the network."""
        return self.url.removeprefix(SCHEME) if self.url.startswith(SCHEME) else ""

    @property
    def remote_socket(self) -> str:
        """The path of its socket on another machine; empty unless it is reached by ssh."""
        found = _SSH.fullmatch(self.url)
        return (found[4] or DEFAULT_SOCKET) if found else ""

    @property
    def ssh_destination(self) -> str:
        """Where its machine is, in the words of an ssh client: ``ssh://user@host:port``."""
        found = _SSH.fullmatch(self.url)
        return found[1] if found else ""


@dataclass(frozen=True, slots=True)
class AddedEngine:
    """An engine that an administrator has added while Zoe runs, until it has gone again."""

    name: str
    words: str
    """Where it is and what of it is given away, as the settings say it after the name."""
    by: str
    leaving: bool = False
    """It is to go: when nothing runs there, or else ``at_once``, as it does not answer."""
    at_once: bool = False

    @property
    def text(self) -> str:
        """The engine as the settings name one."""
        return f"{self.name} {self.words}"


def parse_engines(text: str) -> tuple[EngineSpec, ...]:
    """Return the engines that ``text`` names; raises ValueError, in words."""
    found = tuple(_engine(part.split()) for part in text.split(";") if part.strip())
    for what, values in (
        ("name", [engine.name for engine in found]),
        ("address", [engine.url for engine in found]),
    ):
        if twice := sorted({value for value in values if values.count(value) > 1}):
            raise ValueError(f"two engines have the {what} {twice[0]}")
    if not 1 <= len(found) <= MAX_ENGINES:
        raise ValueError(f"name between one and {MAX_ENGINES} engines")
    return found


def _engine(words: list[str]) -> EngineSpec:
    if len(words) < 2 or not _NAME.fullmatch(words[0]):
        raise ValueError("an engine is a name and an address, as node1 unix:///run/docker.sock")
    tcp, ssh = _TCP.fullmatch(words[1]), _SSH.fullmatch(words[1])
    if not (words[1].startswith(f"{SCHEME}/") or tcp or ssh):
        raise ValueError(
            f"{words[1]} is neither a socket, as unix:///run/docker.sock, nor "
            "ssh://<user>@<host>[:<port>][<socket>], nor tcp://<host>:<port>"
        )
    port = tcp[2] if tcp else ssh[3] if ssh else None
    if port and not 1 <= int(port) <= _PORT_MAX:
        raise ValueError(f"{words[1]} has no port from 1 to {_PORT_MAX}")
    engine = EngineSpec(words[0], words[1])
    for word in words[2:]:
        key, equals, value = word.partition("=")
        if word == _INSECURE:
            engine = replace(engine, insecure=True)
        elif equals and key in _FIELDS:
            engine = _FIELDS[key](engine, value)
        else:
            raise ValueError(f"{word} is none of {'=, '.join(_FIELDS)}=, {_INSECURE}")
    _check_tls(engine)
    if not engine.address and (host := tcp[1] if tcp else ssh[2] if ssh else ""):
        return replace(engine, address=host.strip("[]"))
    return engine


def _check_tls(engine: EngineSpec) -> None:
    """Nobody is to reach an engine by the network unprotected without having said so."""
    if not engine.url.startswith(TCP_SCHEME):
        if engine.tls or engine.insecure:
            raise ValueError(f"{engine.url} is no port: tls= and {_INSECURE} are for tcp://")
    elif bool(engine.tls) == engine.insecure:
        raise ValueError(
            f"{engine.url} needs either tls=, the folder of its ca.pem, cert.pem and key.pem, or "
            f"the word {_INSECURE}: whoever reaches such a port is root on that machine"
        )


def _with_cores(engine: EngineSpec, value: str) -> EngineSpec:
    cores = float(value)
    if not 0 < cores < math.inf:
        raise ValueError("cores= is a number above zero")
    return replace(engine, cores_milli=round(cores * CORE))


def _with_labels(engine: EngineSpec, value: str) -> EngineSpec:
    labels = value.split(",")
    if not all(map(_LABEL.fullmatch, labels)):
        raise ValueError("labels= are words with commas between")
    return replace(engine, labels=frozenset(labels))


def _with_address(engine: EngineSpec, value: str) -> EngineSpec:
    if not _ADDRESS.fullmatch(value):
        raise ValueError("address= is the name or IP address of the machine")
    return replace(engine, address=value)


def _with_tls(engine: EngineSpec, value: str) -> EngineSpec:
    if not value.startswith("/"):
        raise ValueError("tls= is a folder, as /etc/zoe/node1")
    return replace(engine, tls=value)


_INSECURE = "insecure"
_FIELDS: Mapping[str, Callable[[EngineSpec, str], EngineSpec]] = {
    "cores": _with_cores,
    "memory": lambda engine, value: replace(engine, memory_bytes=units.memory_bytes(value)),
    "gpus": lambda engine, value: replace(engine, gpus=parse_gpus(value)),
    "labels": _with_labels,
    "address": _with_address,
    "tls": _with_tls,
}
