"""A real api for tests: uvicorn on a free port, the memory store, a master that can be absent."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import uvicorn

from zoe.api.access import first_token
from zoe.api.app import Api as Served
from zoe.api.feed import Feed
from zoe.model.change import Change, SetInstance, SetNodes, SetStatus
from zoe.model.cluster import Node
from zoe.model.execution import (
    Execution,
    ExecutionEnd,
    ExecutionStatus,
    Exit,
    InstanceStatus,
    ServiceInstance,
)
from zoe.model.logs import Stream, log_path
from zoe.model.resources import Resources
from zoe.rpc.client import Client
from zoe.rpc.keys import client_keys
from zoe.settings import Settings
from zoe.store.base import Store
from zoe.store.memory import MemoryStore

GIB = 1024**3

DASK = """\
zoe: 4
name: wordcount
kind: batch
time_limit: 2h
parameters:
  workers: {type: integer, default: 3, min: 0, max: 32}
frameworks:
  dask:
    services:
      scheduler:
        command: [dask, scheduler]
        resources: {cores: 1, memory: 1GiB}
        ports: [{name: Dask dashboard, port: 8787, protocol: http}, {name: Scheduler, port: 8786}]
        ready: {tcp: {port: 8786}}
      worker:
        command: [dask, worker, "tcp://${dns.dask.scheduler.0}:8786"]
        resources: {cores: 1, memory: 2GiB}
        count: {essential: 1, elastic: "${parameters.workers}"}
        depends_on: {scheduler: ready}
  driver:
    depends_on: {dask: ready}
    services:
      count:
        command: [python, count.py]
        resources: {cores: 0.5, memory: 512MiB}
        monitor: true
"""

BROKEN = """\
zoe: 4
name: wordcount
kind: batch
frameworks:
  dask:
    services:
      scheduler:
        comand: [dask, scheduler]
        resources: {cores: many, memory: 1GiB}
        monitor: true
"""


@dataclass
class Master:
    """What the master would write, put into the store by hand through its own methods."""

    store: Store
    epoch: int = 0

    async def record(self, *changes: Change) -> None:
        if not self.epoch:
            epoch = await self.store.lead("test", 3600)
            assert epoch is not None
            self.epoch = epoch
        await self.store.record(changes, self.epoch)

    async def nodes(self, *nodes: Node) -> None:
        await self.record(SetNodes(nodes, time.time()))

    async def status(
        self,
        execution: Execution | int,
        *statuses: ExecutionStatus,
        end: ExecutionEnd | None = None,
        reason: str = "",
    ) -> None:
        id = execution if isinstance(execution, int) else execution.id
        for status in statuses:
            is_ending = status in (
                ExecutionStatus.STOPPING,
                ExecutionStatus.TERMINATED,
                ExecutionStatus.FAILED,
            )
            await self.record(
                SetStatus(
                    id,
                    status,
                    time.time(),
                    reason or f"It is {status}.",
                    end if is_ending else None,
                )
            )

    async def instance(
        self, instance: ServiceInstance, *statuses: InstanceStatus
    ) -> ServiceInstance:
        for status in statuses:
            now = time.time()
            instance = replace(
                instance,
                status=status,
                started_at=now if status is InstanceStatus.RUNNING else instance.started_at,
                ready=status is InstanceStatus.RUNNING,
                placed_at=instance.placed_at or now,
            )
            await self.record(SetInstance(instance, now, f"{instance.id} is {status}."))
        return instance

    async def stopped(self, instance: ServiceInstance, exit: Exit) -> None:
        now = time.time()
        if instance.status is InstanceStatus.RUNNING:
            instance = await self.instance(instance, InstanceStatus.STOPPING)
        ended = replace(instance, status=InstanceStatus.STOPPED, exit=exit, stopped_at=now)
        await self.record(SetInstance(replace(ended, ready=False), now, f"{instance.id} stopped."))

    async def run(
        self, execution_id: int, *, elastic: int = 1, gpus: tuple[str, ...] = ()
    ) -> list[ServiceInstance]:
        """Let an execution run: everything essential, the first on ``gpus``, and some elastic."""
        execution = await self.store.get(execution_id)
        await self.status(execution, ExecutionStatus.QUEUED, ExecutionStatus.STARTING)
        instances = []
        for number, (name, service) in enumerate(execution.zapp.services()):
            for ordinal in range(service.essential + min(elastic, service.elastic)):
                instance = ServiceInstance(
                    execution.id,
                    name,
                    ordinal,
                    essential=ordinal < service.essential,
                    node=f"node-{1 + (number + ordinal) % 2}",
                    address=f"127.20.{number}.{ordinal + 1}",
                    gpus=gpus if (number, ordinal) == (0, 0) else (),
                )
                instances.append(
                    await self.instance(
                        instance,
                        InstanceStatus.WAITING,
                        InstanceStatus.STARTING,
                        InstanceStatus.RUNNING,
                    )
                )
        await self.status(execution, ExecutionStatus.RUNNING)
        return instances


def machines() -> tuple[Node, ...]:
    return (
        Node("node-1", Resources(8000, 32 * GIB), Resources(500, 2 * GIB), frozenset({"ssd"})),
        Node("node-2", Resources(4000, 16 * GIB, 1)),
    )


def write_log(
    settings: Settings,
    instance: str,
    text: str | bytes,
    *,
    stream: Stream = "stdout",
    attempt: int = 1,
) -> None:
    """Append to the output of an instance, as a back-end does."""
    file = Path(log_path(settings.logs_dir, instance, attempt, stream))
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as target:
        target.write(text.encode() if isinstance(text, str) else text)


class Server(uvicorn.Server):
    """A server inside a test: it starts and ends at once, where uvicorn looks each 0.1 s."""

    async def start(self) -> None:
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.startup()
        assert self.started

    async def stop(self) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        try:
            await until(lambda: not self.server_state.connections and not self.server_state.tasks)
        finally:
            for task in self.server_state.tasks:
                task.cancel()
            await self.lifespan.shutdown()


@dataclass
class Api:
    """A running api and what is behind it."""

    url: str
    token: str
    settings: Settings
    store: Store
    master: Master
    feed: Feed

    def client(self, token: str | None = None, **headers: str) -> httpx2.AsyncClient:
        bearer = self.token if token is None else token
        return httpx2.AsyncClient(
            base_url=self.url,
            headers=({"Authorization": f"Bearer {bearer}"} if bearer else {}) | headers,
            timeout=10,
            verify=False,  # plain http: reading the certificates of the system takes long
        )


@asynccontextmanager
async def serving(
    folder: Path,
    *,
    store: Store | None = None,
    frameworks: Callable[[], dict[str, tuple[str, str]]] = dict,
    **options: object,
) -> AsyncIterator[Api]:
    settings = Settings.model_validate(
        {"data_dir": folder, "master_endpoint": "tcp://127.0.0.1:1", "rpc_timeout_seconds": 0.2}
        | {"rpc_hint_seconds": 0.01}
        | options
    )
    store = store or MemoryStore()
    token = await first_token(store)
    assert token is not None
    client = Client(
        settings.master_endpoint,
        client_keys(settings.keys_dir),
        settings.rpc_timeout_seconds,
        settings.rpc_hint_seconds,
    )
    async with client:
        served = Served(settings, store, client, frameworks)
        config = uvicorn.Config(
            served,
            host="127.0.0.1",
            port=0,
            log_config=None,
            lifespan="off",
            proxy_headers=False,
            server_header=False,
        )
        server = Server(config)
        feed = served.parts.feed
        async with feed.running():
            await server.start()
            try:
                port = server.servers[0].sockets[0].getsockname()[1]
                url = f"http://127.0.0.1:{port}"
                yield Api(url, token, settings, store, Master(store), feed)
            finally:
                feed.close()
                await server.stop()
    await store.close()


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Return when ``condition`` holds; fails after ``seconds``."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def submitted(admin: httpx2.AsyncClient, **more: object) -> dict[str, Any]:
    """Submit the sample application; return the answer."""
    response = await admin.post("/api/v1/executions", json={"document": DASK} | more)
    assert response.status_code == 201, response.text
    body: dict[str, Any] = response.json()
    return body
