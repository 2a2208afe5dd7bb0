"""Ports that are left to `zoe up` are its own from when it has chosen them."""

import asyncio
import errno
import socket
from pathlib import Path

import pytest
import zmq

from zoe.cli.ports import PortTaken, chosen_ports
from zoe.settings import load_settings

HOST = "127.0.0.1"


def test_nobody_else_is_given_a_chosen_port(tmp_path: Path) -> None:
    settings, origins = load_settings({"data_dir": tmp_path, "api_port": 0}, {}, [])
    with chosen_ports(settings, origins) as chosen, socket.socket() as stranger:
        assert chosen.api_url == f"http://{HOST}:{chosen.api_port}"
        with pytest.raises(OSError) as raised:  # noqa: PT011 - the number says which
            stranger.bind((HOST, chosen.api_port))
        assert raised.value.errno == errno.EADDRINUSE
    with socket.socket() as later:
        later.bind((HOST, chosen.api_port))


async def test_our_own_programs_listen_there(tmp_path: Path) -> None:
    settings, origins = load_settings({"data_dir": tmp_path, "api_port": 0}, {}, [])
    with chosen_ports(settings, origins) as chosen:
        server = await asyncio.start_server(lambda _, writer: writer.close(), HOST, chosen.api_port)
        async with server:
            _, writer = await asyncio.open_connection(HOST, chosen.api_port)
            writer.close()
        with zmq.Context() as context, context.socket(zmq.ROUTER) as master:
            master.bind(chosen.master_endpoint)


def test_a_port_that_is_named_has_to_be_free(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        settings, origins = load_settings({"data_dir": tmp_path, "api_port": port}, {}, [])
        with (
            pytest.raises(PortTaken, match=f"cannot listen on {HOST} port {port}"),
            chosen_ports(settings, origins),
        ):
            pass
