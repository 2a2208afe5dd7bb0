"""Keeps the api talking to the master that leads: the lease says where that one is reached."""

import asyncio
import socket

import structlog

from zoe.rpc.client import Client, MasterUnreachable
from zoe.store.base import Masters, Store, StoreUnavailable

log = structlog.get_logger()

LOOK_SECONDS = 1.0
"""How often is looked who leads. What is asked meanwhile is put to the next one as well."""


async def follow_leader(store: Store, master: Client) -> None:
    """Talk to whoever leads, for ever; to who led last while nobody is known to."""
    while True:
        try:
            endpoint = reached_from(socket.gethostname(), await store.masters())
        except StoreUnavailable:
            endpoint = ""
        if endpoint and endpoint != master.endpoint:
            try:
                master.follow(endpoint)
                log.info("another master leads", endpoint=endpoint)
            except MasterUnreachable as error:
                log.error("the master that leads cannot be reached", why=str(error))
        await asyncio.sleep(LOOK_SECONDS)


def reached_from(host: str, masters: Masters) -> str:
    """Return where the master that leads is reached from ``host``; empty: as the settings say.

    What listens on the loopback address of another machine may be reached by a tunnel, which only
    the settings know of.
    """
    address = masters.endpoint.partition("://")[2]
    is_inside = masters.endpoint.startswith("ipc:") or address.startswith(("127.", "localhost:"))
    is_here = masters.leader.rpartition(":")[0] == host
    return masters.endpoint if masters.leader and (is_here or not is_inside) else ""
