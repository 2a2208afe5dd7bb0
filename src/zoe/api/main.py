"""The api as a program: ``python -m zoe.api.main``."""

import asyncio
import json
import os
import signal
import socket
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from types import FrameType

import structlog
import uvicorn
import uvloop

from zoe import failpoints
from zoe.api.access import first_token
from zoe.api.app import Api
from zoe.api.feed import Feed
from zoe.api.leader import follow_leader
from zoe.catalogue import frameworks
from zoe.log import configure
from zoe.model.errors import ZoeError
from zoe.rpc.client import Client
from zoe.rpc.keys import client_keys
from zoe.settings import Settings, load_settings
from zoe.store.base import Store, StoreUnavailable
from zoe.store.postgres import PostgresStore

log = structlog.get_logger()

OPEN_RETRY_SECONDS = 1.0
SHUTDOWN_SECONDS = 1


class Server(uvicorn.Server):
    """Ends the open streams when it is told to end, and says when it is ready."""

    def __init__(self, config: uvicorn.Config, feed: Feed, ready_file: Path) -> None:
        super().__init__(config)
        self._feed = feed
        self._ready_file = ready_file

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; unlike uvicorn's, it does not kill the process with the signal afterwards.

        Runs in the main thread, between two steps of the loop, which looks ten times a second.
        """
        self._feed.close()
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve, then write down where."""
        await super().startup(sockets)
        if not self.started:
            return
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        write_ready(self._ready_file, url)
        log.info("the api is ready", url=url, pid=os.getpid())


def write_ready(file: Path, url: str) -> None:
    """Say where the api is reached, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.write_text(json.dumps({"url": url, "pid": os.getpid()}) + "\n")
    draft.replace(file)


async def serve(settings: Settings) -> None:
    """Serve until a signal says to end."""
    async with AsyncExitStack() as stack:
        store = PostgresStore(settings.database_url, pool_size=settings.database_pool_size)
        stack.push_async_callback(store.close)
        await open_store(store)
        master = Client(
            settings.master_endpoint,
            client_keys(settings.keys_dir),
            settings.rpc_timeout_seconds,
            settings.rpc_hint_seconds,
        )
        await stack.enter_async_context(master)
        stack.callback(asyncio.create_task(follow_leader(store, master)).cancel)
        if token := await first_token(store):
            keep_token(settings.data_dir / "token", token)
        api = Api(settings, store, master, partial(frameworks, settings.zapps_dir))
        ready_file = settings.run_dir / "api.json"
        config = uvicorn.Config(
            api,
            host=settings.api_host,
            port=settings.api_port,
            http="httptools",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
        try:
            async with api.parts.feed.running():
                await Server(config, api.parts.feed, ready_file).serve()
        finally:
            with suppress(FileNotFoundError):
                ready_file.unlink()


async def open_store(store: Store) -> None:
    """Open the store; wait for it if it is not there yet."""
    while True:
        try:
            return await store.open()
        except StoreUnavailable as error:
            log.warning("the store is not there; trying again", error=str(error))
            await asyncio.sleep(OPEN_RETRY_SECONDS)


def keep_token(file: Path, token: str) -> None:
    """Leave the administrator's first token where the command line looks; no log gets it."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w") as kept:
        kept.write(token + "\n")
    log.info(
        "the administrator's first access token is in a file; keep it and remove that",
        file=str(file),
    )


def main() -> None:
    """Read the settings and serve."""
    try:
        settings, _ = load_settings()
        configure(settings.log_level, settings.log_format)
        failpoints.arm(settings.failpoint, settings.failpoints_dir)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings))
    except ZoeError as error:
        raise SystemExit(f"zoe api: {error}" + (f"\n{error.hint}" if error.hint else "")) from None


if __name__ == "__main__":
    main()
