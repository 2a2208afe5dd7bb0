"""Where the programs listen: free ports in place of those that are left to us."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from zoe.client.credentials import address
from zoe.model.errors import ZoeError
from zoe.settings import Origin, Settings


class PortTaken(ZoeError):
    """The port of the api cannot be listened on."""


@contextmanager
def chosen_ports(settings: Settings, origins: Mapping[str, Origin]) -> Iterator[Settings]:
    """Have the settings with free ports in place of those that are left to us.

    Nobody else is given these meanwhile: they stay bound here, which does not keep our programs,
    that reuse addresses as all servers do, from listening there. Another deployment's api on the
    port of ours would be taken for ours.
    """
    with ExitStack() as held:
        yield _choose(settings, origins, held)


def _choose(settings: Settings, origins: Mapping[str, Origin], held: ExitStack) -> Settings:
    def free_port(host: str) -> int:
        return int(held.enter_context(_bound(host, 0)).getsockname()[1])

    chosen: dict[str, object] = {}
    if settings.api_port == 0:
        chosen["api_port"] = free_port(settings.api_host)
    elif problem := port_problem(settings.api_host, settings.api_port):
        raise PortTaken(
            f"the api cannot listen on {settings.api_host} port {settings.api_port}: {problem}",
            hint="--port names another one; --port 0 takes a free one.",
        )
    endpoint = settings.master_endpoint
    if origins["master_endpoint"].source == "default" or endpoint.endswith(":0"):
        chosen["master_endpoint"] = f"tcp://127.0.0.1:{free_port('127.0.0.1')}"
    settings = settings.model_copy(update=chosen)
    return settings.model_copy(
        update={"api_url": settings.api_url or f"http://{address(settings)}"}
    )


def port_problem(host: str, port: int) -> str:
    """Return why nobody can listen there, or nothing."""
    try:
        _bound(host, port).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(place)
    except BaseException:
        bound.close()
        raise
    return bound
