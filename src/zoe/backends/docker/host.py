"""One engine as the back-end uses it: creates what an attempt needs, and removes it again."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from zoe import failpoints
from zoe.backends.base import Refused, Retryable
from zoe.backends.docker.engine import Body, Engine, NotThere, Taken, Unreachable
from zoe.backends.docker.names import (
    DEPLOYMENT,
    EXECUTION,
    Key,
    container_name,
    execution_of,
    is_of,
    is_whole,
    network_name,
)
from zoe.backends.docker.node import Machine
from zoe.backends.docker.pulls import Pulls
from zoe.backends.docker.registries import NO_PASSWORDS, Passwords
from zoe.backends.fence import Fenced
from zoe.model.cluster import Node
from zoe.model.engines import EngineSpec

CONCURRENCY = 8
"""Containers that one engine starts at once: more only wait for each other there."""
OTHERS_START_SECONDS = 2.0
"""How long a container that somebody else made is left to them to start."""
NETWORK_TRIES = 20
NETWORK_PAUSE_SECONDS = 0.1
"""How often, and how long after each other, a network that is used is tried to be removed."""
END_SECONDS = 3.0
"""How long an engine that is used no longer is tidied up."""


class NoImage(NotThere):
    """The engine has not the image that is asked for."""


class Host:
    """An engine with its machine, the networks of executions on it, and the images it is getting.

    The node says which it has, and with ``pulls`` that it gets others, too. ``check`` raises
    Retryable when nothing may be started any more.
    """

    def __init__(
        self,
        spec: EngineSpec,
        deployment: str,
        passwords: Passwords = NO_PASSWORDS,
        *,
        pulls: bool = True,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._check = check
        self.engine = Engine(spec, deployment)
        self.pulls = Pulls(self.engine, passwords)
        self._deployment = deployment
        self._machine = Machine(self.engine, deployment, pulls=pulls)
        self._why = "nobody has asked it yet"
        self._free = asyncio.Semaphore(CONCURRENCY)
        self._using: Counter[int] = Counter()
        """How many starts of each execution are under way."""
        self._there: set[int] = set()
        """Of those, the executions whose networks are there: nobody removes them meanwhile."""
        self._unused: set[int] = set()
        """Executions whose networks were to be removed and could not be yet."""
        self._network_lock = asyncio.Lock()

    @property
    def is_reachable(self) -> bool:
        """Whether it answered when it was asked last."""
        return not self._why

    async def containers(self) -> Sequence[Body]:
        """Return all containers of this deployment; raises Unreachable, which is remembered."""
        try:
            found = await self.engine.containers()
        except (Retryable, Refused) as error:
            self._why = str(error)
            raise
        self._why = ""
        return [container for container in found if is_whole(container["Labels"])]

    async def node(self) -> Node:
        """Return the machine as it is, or as it was and that nobody reaches it."""
        if self.is_reachable:
            try:
                await self._machine.look()
                for execution_id in list(self._unused):
                    await self.try_remove_network(execution_id)
            except (Retryable, Refused) as error:
                self._why = str(error)
        return self._machine.unreachable(self._why) if self._why else self._machine.node

    async def start(self, key: Key, config: Mapping[str, Any]) -> Body:
        """Create and start the container of an attempt, and return all about it.

        Raises Refused and Retryable; then nothing is left, unless the engine does not answer.
        """
        async with self._network(execution_of(key)), self._free:
            container, is_new = await self._create(
                container_name(self._deployment, key), key, config
            )
            await failpoints.reach("cp08")
            try:
                if not is_new and await self._is_started(container):
                    return await self.engine.inspect(container)
                await failpoints.reach("cp09")
                self._check()
                await self.engine.start(container)
                await failpoints.reach("cp11")
            except (Unreachable, Fenced):
                raise  # it may run, or be another master's: the next look finds it
            except (Retryable, Refused):
                await self.engine.remove(container, force=True)
                raise
            return await self.engine.inspect(container)

    async def _is_started(self, container: str) -> bool:
        """Whether somebody else starts a container that they have made: never is it run twice.

        Another master may be about to; one that died in between does not any more.
        """
        until = time.monotonic() + OTHERS_START_SECONDS
        while time.monotonic() < until:
            found = await self.engine.inspect(container)
            if found["State"]["Status"] != "created":
                return True
            await asyncio.sleep(NETWORK_PAUSE_SECONDS)
        return False

    async def remove_network(self, execution_id: int) -> None:
        """Remove the network of an execution, unless an attempt is just being started in it.

        The engine lets go of the last container a moment after it is removed. A network that is
        used for longer, as by a container that somebody else put into it, or that is on an engine
        that does not answer, is tried again whenever the machine is looked at.
        """
        self._unused.add(execution_id)
        for _ in range(NETWORK_TRIES if self.is_reachable else 0):
            await self.try_remove_network(execution_id)
            if execution_id not in self._unused:
                return
            await asyncio.sleep(NETWORK_PAUSE_SECONDS)

    async def try_remove_network(self, execution_id: int) -> None:
        """Remove the network of an execution, unless something is in it or about to be."""
        async with self._network_lock:
            try:
                if not self._using[execution_id]:
                    await self.engine.remove_network(network_name(self._deployment, execution_id))
            except Refused:
                return  # something is still in it
            self._unused.discard(execution_id)

    async def remove_networks(self, used: set[int]) -> None:
        """Remove the networks that earlier masters left, but for those of the used executions."""
        for network in await self.engine.networks():
            execution_id = network["Labels"].get(EXECUTION, "")
            if execution_id.isdigit() and int(execution_id) not in used:
                await self.remove_network(int(execution_id))

    async def end(self) -> None:
        """Remove what networks of this deployment are still there, if it answers, and let go."""
        if self.is_reachable:
            with suppress(Retryable, Refused, TimeoutError):
                async with asyncio.timeout(END_SECONDS):
                    await self.remove_networks(set())
        await self.engine.close()

    async def _create(self, name: str, key: Key, config: Mapping[str, Any]) -> tuple[str, bool]:
        """Create a container, if it is not there; return its id, and whether it was not."""
        try:
            self._check()
            made = await self.engine.create(name, config)
            await failpoints.reach("cp07")
            return made, True
        except Taken:
            found = await self.engine.inspect(name)
        except NotThere as error:
            if "image" not in str(error).lower():
                raise
            raise NoImage(
                f"{self.engine.name} has no image {config['Image']}",
                hint="pull or build it on that machine.",
            ) from error
        if not is_of(found["Config"]["Labels"], self._deployment, key):
            raise Refused(
                f"{self.engine.name} has another container called {name}, not of this deployment",
                hint="rename or remove it, or give this deployment another name.",
            )
        return str(found["Id"]), False

    @asynccontextmanager
    async def _network(self, execution_id: int) -> AsyncIterator[None]:
        """Keep the network of an execution there meanwhile."""
        self._using[execution_id] += 1
        self._unused.discard(execution_id)
        try:
            async with self._network_lock:
                if execution_id not in self._there:  # an engine that starts others answers slowly
                    name = network_name(self._deployment, execution_id)
                    labels = {DEPLOYMENT: self._deployment, EXECUTION: str(execution_id)}
                    await self.engine.create_network(name, labels)
                    self._there.add(execution_id)
            yield
        finally:
            self._using[execution_id] -= 1
            if not self._using[execution_id]:
                del self._using[execution_id]
                self._there.discard(execution_id)
