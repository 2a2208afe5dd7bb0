"""An attempt that has no container yet, as its image is still to come."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from zoe.backends.base import Refused, Retryable
from zoe.backends.docker.attempt import RETRY_SECONDS, Told
from zoe.backends.docker.engine import Body, Unreachable
from zoe.backends.docker.host import Host
from zoe.model.cluster import ObservedInstance
from zoe.model.execution import Exit, ExitReason, InstanceStatus, ServiceInstance

CREATE_TRIES = 10
"""How often the container is tried to be made when the image is there."""


class Pending:
    """Waits for the image and makes the container; ``seen`` is what the port tells meanwhile.

    Nothing of it is kept: the next master is asked to start the attempt again, and the engine has
    what it got until then.
    """

    def __init__(
        self,
        host: Host,
        instance: ServiceInstance,
        config: Mapping[str, Any],
        made: Callable[[Body], None],
        told: Told,
    ) -> None:
        self._host = host
        self._key = (instance.id, instance.attempt)
        self._config = config
        self._made = made
        self._told = told
        self._is_given_up = False
        self._creates = False
        self.seen = ObservedInstance(
            *self._key, host.engine.name, InstanceStatus.STARTING, gpus=instance.gpus
        )
        self._task = asyncio.create_task(self._run())

    @property
    def lives(self) -> bool:
        """Whether its end has not been told."""
        return self.seen.status is not InstanceStatus.STOPPED

    async def give_up(self) -> None:
        """Wait for the image no longer; what is just being made is waited for."""
        self._is_given_up = True
        if not self._creates:
            self._task.cancel()
        await asyncio.wait([self._task])

    async def close(self) -> None:
        """Follow it no longer."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            await self._host.pulls.pull(self._config["Image"], self._say)
            self._creates = True
            container = await self._create()
        except (Retryable, Refused) as error:
            if not self._is_given_up:
                exit = Exit(ExitReason.NOT_STARTED, message=str(error))
                self._change(status=InstanceStatus.STOPPED, exit=exit, message="")
        else:
            self._made(container)

    async def _create(self) -> Body:
        tried = 0
        while True:
            try:
                return await self._host.start(self._key, self._config)
            except Retryable as error:
                tried += not isinstance(error, Unreachable)
                if self._is_given_up or tried == CREATE_TRIES:
                    raise
            await asyncio.sleep(RETRY_SECONDS)

    def _say(self, message: str) -> None:
        self._change(message=message)

    def _change(self, **changes: Any) -> None:
        self.seen = replace(self.seen, **changes)
        self._told(self.seen)
