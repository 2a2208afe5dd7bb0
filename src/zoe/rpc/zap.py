"""Who may connect: the answers to ZeroMQ's authentication requests (ZAP, RFC 27).

CURVE alone proves that the peer knows the master's public key and has some key of its own.
Whether it is a key we know is asked here, for every connection.
"""

from collections.abc import Callable, Mapping

import zmq
import zmq.asyncio
from zmq.utils import z85

DOMAIN = b"zoe"


def open_zap(context: zmq.asyncio.Context) -> zmq.asyncio.Socket:
    """Return the socket on which the sockets of ``context`` ask whether a peer may connect."""
    socket = context.socket(zmq.REP)
    socket.linger = 0
    socket.bind("inproc://zeromq.zap.01")
    return socket


async def answer_zap(
    socket: zmq.asyncio.Socket, allowed: Mapping[bytes, str], refused: Callable[[str], None]
) -> None:
    """Admit the public keys (Z85) in ``allowed`` and nobody else, for ever.

    ``refused`` hears the address of everybody else.
    """
    while True:
        (
            version,
            request_id,
            domain,
            address,
            _,
            mechanism,
            *credentials,
        ) = await socket.recv_multipart()
        name = None
        if (version, domain, mechanism) == (b"1.0", DOMAIN, b"CURVE"):
            name = allowed.get(z85.encode(credentials[0]))
        if name is None:
            refused(address.decode(errors="replace"))
            verdict = [b"400", b"this key is not known here", b""]
        else:
            verdict = [b"200", b"welcome", name.encode()]
        await socket.send_multipart([b"1.0", request_id, *verdict, b""])
