"""The master program: leads, serves, and begins again from what was committed when it must.

``python -m zoe.master.main`` reads its settings from the environment and the settings files. It
ends within two seconds of SIGTERM and leaves running applications alone.
"""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import structlog

import zoe.log
from zoe import failpoints
from zoe.backends.base import Backend
from zoe.backends.docker.backend import DockerBackend
from zoe.backends.fake import FakeBackend
from zoe.backends.fence import Fence
from zoe.backends.process.backend import ProcessBackend
from zoe.backends.swarm.backend import SwarmBackend
from zoe.catalogue import frameworks
from zoe.garbage import look_seldom
from zoe.master.answers import Desk
from zoe.master.fleet import Fleet
from zoe.master.forecasting import Forecaster, ForecastProcesses
from zoe.master.foresight import Foresight, Outlook
from zoe.master.loop import ACTING_PART, Loop, Pace
from zoe.master.sampling import Habits, Sampling
from zoe.model.errors import ZoeError
from zoe.rpc.keys import server_keys
from zoe.rpc.server import Server
from zoe.scheduler.scheduler import Scheduler
from zoe.scheduler.sharing import Sharing
from zoe.scheduler.strain import Limits
from zoe.settings import Settings, load_settings
from zoe.store.base import StaleEpoch, Store, StoreUnavailable
from zoe.store.postgres import PostgresStore

log = structlog.get_logger("master")

RETRY_SECONDS = 0.5
"""Pause before the master tries again to lead."""
FOLLOW_SECONDS = 0.2
"""Pause between two looks of a master that stands by."""


class NoDatabase(ZoeError):
    """The master needs a database, and no address of one is set."""


async def serve(settings: Settings) -> None:
    """Serve until cancelled; raises NoDatabase, CannotListen, KeysUnusable."""
    if not settings.database_url:
        raise NoDatabase(hint="start everything with `zoe up`, or set ZOE_DATABASE_URL")
    store = PostgresStore(settings.database_url, pool_size=settings.database_pool_size)
    desk = Desk(lambda: frameworks(settings.zapps_dir), time.time)
    server = Server(settings.master_endpoint, server_keys(settings.keys_dir), desk.answer)
    forecaster = ForecastProcesses()
    await server.start()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(forecaster.close)
        stack.push_async_callback(store.close)
        stack.push_async_callback(server.stop)
        _write_ready(settings.run_dir / "master.json", server.endpoint)
        await _open(store)
        await reign(
            settings,
            store,
            lambda: make_backend(settings),
            desk,
            forecaster,
            endpoint=outside(server.endpoint, socket.gethostname()),
        )


async def reign(
    settings: Settings,
    store: Store,
    new_backend: Callable[[], Backend],
    desk: Desk,
    forecaster: Forecaster | None = None,
    *,
    endpoint: str = "",
) -> None:
    """Lead whenever possible, one reign after the other, until cancelled.

    Each reign has a back-end of its own: who stands by has none, and does nothing on any node.
    Without a ``forecaster`` no starts are predicted. ``endpoint`` is where the apis reach us.
    """
    holder = f"{socket.gethostname()}:{os.getpid()}"
    while True:
        backend = new_backend()
        epoch = await _lead(store, backend.fence, holder, endpoint, settings.lease_seconds)
        foresight = None
        if forecaster is not None and settings.forecast_depth:
            foresight = Foresight(forecaster, outlook(settings), desk.now)
        loop = Loop(
            store,
            backend,
            make_scheduler(settings),
            epoch,
            now=desk.now,
            pace=pace(settings),
            foresight=foresight,
            sampling=make_sampling(settings, store, backend, desk.now, epoch),
            fleet=make_fleet(settings, store, backend),
        )
        desk.backend, desk.loop, desk.epoch, desk.since = backend, loop, epoch, desk.now()
        try:
            await loop.run()
        except (StoreUnavailable, StaleEpoch) as loss:
            log.warning("stops leading", epoch=epoch, why=str(loss))
        finally:
            desk.loop = None
            await backend.close()
            with suppress(ZoeError, TimeoutError):
                async with asyncio.timeout(RETRY_SECONDS):
                    await store.resign(epoch)
        await asyncio.sleep(RETRY_SECONDS)


async def _open(store: Store) -> None:
    while True:
        try:
            return await store.open()
        except StoreUnavailable as fault:
            log.warning("waits for the database", why=str(fault))
            await asyncio.sleep(RETRY_SECONDS)


def outside(endpoint: str, host: str) -> str:
    """Return where others reach what listens at ``endpoint``, on any address of ``host``."""
    scheme, _, place = endpoint.partition("://")
    address, _, port = place.rpartition(":")
    return f"{scheme}://{host}:{port}" if address in ("0.0.0.0", "*", "[::]") else endpoint


def _write_ready(file: Path, endpoint: str) -> None:
    """Say where the master is reached, whole or not at all."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.write_text(json.dumps({"endpoint": endpoint, "pid": os.getpid()}) + "\n")
    draft.replace(file)


async def _lead(
    store: Store, fence: Fence, holder: str, endpoint: str, lease_seconds: float
) -> int:
    """Return a new epoch once no other master leads; ``fence`` is open then."""
    told = False
    while True:
        asked = fence.now()
        try:
            epoch = await store.lead(holder, lease_seconds, endpoint)
        except StoreUnavailable as fault:
            log.warning("waits for the database", why=str(fault))
            await asyncio.sleep(RETRY_SECONDS)
            continue
        if epoch is not None:
            fence.extend(epoch, asked + lease_seconds * ACTING_PART)
            return epoch
        if not told:
            log.info("stands by: another master leads")
            told = True
        await asyncio.sleep(FOLLOW_SECONDS)


def make_backend(settings: Settings) -> Backend:
    """Build the back-end that the settings name."""
    match settings.backend:
        case "fake":
            return FakeBackend()
        case "docker":
            return DockerBackend(
                settings.deployment,
                settings.data_dir,
                settings.engines,
                logs_dir=settings.logs_dir,
                workspaces_dir=settings.workspaces_dir,
                gpu_driver=settings.docker_gpu_driver,
                api_url=settings.api_url,
                pull=settings.docker_pull,
                docker_auth=settings.docker_auth,
                volumes=settings.volume_specs,
            )
        case "swarm":
            return SwarmBackend(
                settings.deployment,
                settings.data_dir,
                settings.engines,
                logs_dir=settings.logs_dir,
                workspaces_dir=settings.workspaces_dir,
                gpu_driver=settings.docker_gpu_driver,
                api_url=settings.api_url,
                volumes=settings.volume_specs,
            )
        case "process":
            return ProcessBackend(
                settings.deployment,
                settings.data_dir,
                logs_dir=settings.logs_dir,
                workspaces_dir=settings.workspaces_dir,
                cores=settings.process_cores,
                memory_bytes=settings.process_memory_bytes,
                gpus=settings.process_gpu_ids,
                node_name=settings.process_node,
                path=settings.process_path,
                shared=settings.process_shared,
                api_url=settings.api_url,
            )


def make_scheduler(settings: Settings) -> Scheduler:
    """Build the scheduler that the settings describe."""
    return Scheduler(
        sharing_of(settings),
        start_attempts=settings.start_attempts,
        elastic_attempts=settings.elastic_attempts,
        backoff_seconds=settings.backoff_seconds,
        stop_grace_seconds=settings.stop_grace_seconds,
    )


def outlook(settings: Settings) -> Outlook:
    """Take how forecasts are made from the settings."""
    return Outlook(
        pause_seconds=settings.forecast_pause_seconds,
        budget_seconds=settings.forecast_budget_seconds,
        depth=settings.forecast_depth,
    )


def make_sampling(
    settings: Settings, store: Store, backend: Backend, now: Callable[[], float], epoch: int
) -> Sampling | None:
    """Build what samples as often as the settings say; None: nothing is sampled."""
    if not settings.sample_seconds:
        return None
    limits = Limits(
        free_memory=settings.pressure_free_memory,
        memory_stall=settings.pressure_memory_stall,
        cpu_stall=settings.pressure_cpu_stall,
        pause_seconds=settings.pressure_pause_seconds,
    )
    habits = Habits(
        pause_seconds=settings.sample_seconds,
        timeout_seconds=settings.effect_timeout_seconds,
        kept_days=settings.sample_days,
        limits=limits,
    )
    return Sampling(backend, store.uses, habits, now, epoch)


def make_fleet(settings: Settings, store: Store, backend: Backend) -> Fleet | None:
    """Build what follows the engines that administrators add; None: they cannot add any."""
    if isinstance(backend, DockerBackend) and settings.backend == "docker":
        return Fleet(store, backend, settings.engines)
    return None


def sharing_of(settings: Settings) -> Sharing:
    """Take from the settings how room is given."""
    return Sharing(
        generation=settings.generation,
        policy=settings.policy,
        half_life_seconds=settings.half_life_seconds,
        reclaim=settings.reclaim,
        grant_seconds=settings.grant_seconds,
        reclaim_per_plan=settings.reclaim_per_plan,
        reclaim_per_hour=settings.reclaim_per_hour,
        lost_seconds=settings.lost_seconds,
        growth_gain=settings.growth_gain,
        backfill=settings.backfill,
        backfill_depth=settings.backfill_depth,
        patience_seconds=settings.patience_seconds,
        rank=settings.rank,
    )


def pace(settings: Settings) -> Pace:
    """Take the loop's pace from the settings."""
    return Pace(
        observe_seconds=settings.observe_seconds,
        poll_seconds=settings.poll_seconds,
        lease_seconds=settings.lease_seconds,
        effect_timeout_seconds=settings.effect_timeout_seconds,
        concurrency=settings.effects_concurrency,
    )


async def _until_told(settings: Settings) -> None:
    serving = asyncio.create_task(serve(settings))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, serving.cancel)
    with suppress(asyncio.CancelledError):
        await serving


def main() -> int:
    """Run the master; return the exit code."""
    try:
        settings, _ = load_settings()
        zoe.log.configure(settings.log_level, settings.log_format)
        failpoints.arm(settings.failpoint, settings.failpoints_dir)
        look_seldom()
        asyncio.run(_until_told(settings))
    except ZoeError as error:
        print(f"zoe master: {error}", file=sys.stderr)  # noqa: T201 - logging may not be set up
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)  # noqa: T201 - as above
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
