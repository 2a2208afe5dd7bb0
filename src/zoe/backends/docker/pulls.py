"""Gets images from registries for one engine: each once, for all who wait for it."""

import asyncio
import time
from collections.abc import Callable, Mapping

from zoe.backends.base import Refused, Retryable
from zoe.backends.docker.engine import Engine, Unreachable
from zoe.backends.docker.registries import ImageName, Passwords, image_name

PULL_TRIES = 6
"""How often a registry that does not answer, or breaks off, is asked for an image."""
FIRST_PAUSE_SECONDS = 1.0
"""After the first time that it did not; it doubles each time."""
SILENCE_SECONDS = 300.0
"""How long an engine may say nothing while it gets an image."""
RETRY_SECONDS = 0.5
"""Before an engine that is away is asked again, as often as it takes."""
TELL_SECONDS = 10.0
"""How far has it come: told so often at most, as each word is kept in the history."""

Say = Callable[[str], None]

_FOR_GOOD = (
    *("not found", "denied", "unauthorized", "authentication required", "no basic auth"),
    *("invalid reference", "manifest unknown", "no matching manifest", "unknown blob"),
)
_DENIED = ("denied", "unauthorized", "authentication required", "no basic auth")


class CannotPull(Refused):
    """An image that cannot be had, and why."""


class Pulls:
    """What one engine is getting now."""

    def __init__(self, engine: Engine, passwords: Passwords) -> None:
        self._engine = engine
        self._passwords = passwords
        self._running: dict[str, _Pull] = {}

    async def pull(self, image: str, say: Say) -> None:
        """Wait until the engine has the newest ``image``; ``say`` hears what happens meanwhile.

        Raises CannotPull. When nobody waits for it any more, it is given up.
        """
        pull = self._running.get(image)
        if pull is None:
            pull = self._running[image] = _Pull(self._engine, self._passwords, image)
        pull.listeners.append(say)
        say(pull.message)
        try:
            await asyncio.shield(pull.task)
        finally:
            pull.listeners.remove(say)
            if pull.task.done() or not pull.listeners:
                pull.task.cancel()
                if self._running.get(image) is pull:
                    del self._running[image]


class _Pull:
    """One image on its way."""

    def __init__(self, engine: Engine, passwords: Passwords, image: str) -> None:
        self._engine = engine
        self._passwords = passwords
        self._image = image
        self.listeners: list[Say] = []
        self.message = f"waits until {engine.name} has pulled {image}"
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        name, tried = image_name(self._image), 0
        try:
            headers = self._passwords.header(name.registry)
        except Refused as error:  # no registry has said so: a later time is no better
            raise CannotPull(f"{self._cannot()}: {error}") from error
        while True:
            try:
                return await self._try(name, headers)
            except Unreachable:
                self._say("; the engine does not answer")
                await asyncio.sleep(RETRY_SECONDS)  # that says nothing of the registry
                continue
            except (Retryable, Refused) as error:
                why = str(error).removeprefix(f"{self._engine.name}: ")
                tried += 1
            if tried == PULL_TRIES or any(words in why.lower() for words in _FOR_GOOD):
                break
            pause = FIRST_PAUSE_SECONDS * 2 ** (tried - 1)
            self._say(
                f"; tried again in {pause:g} s ({tried} of {PULL_TRIES} times in vain): {why}"
            )
            await asyncio.sleep(pause)
        again = f" (tried {tried} times)" if tried > 1 else ""
        raise CannotPull(f"{self._cannot()}: {why}{again}{self._hint(why)}")

    def _cannot(self) -> str:
        return f"the image {self._image} cannot be pulled on {self._engine.name}"

    async def _try(self, name: ImageName, headers: Mapping[str, str]) -> None:
        waiting, done, told = set[str](), set[str](), time.monotonic()
        try:
            async with (
                asyncio.timeout(SILENCE_SECONDS) as silence,
                self._engine.pull(name.repository, name.version, headers) as steps,
            ):
                async for step in steps:
                    silence.reschedule(asyncio.get_running_loop().time() + SILENCE_SECONDS)
                    layer, status = step.get("id", ""), step.get("status", "")
                    if status in ("Pulling fs layer", "Already exists"):
                        waiting.add(layer)
                    if status in ("Pull complete", "Already exists"):
                        done.add(layer)
                    if time.monotonic() - told > TELL_SECONDS:
                        told = time.monotonic()
                        self._say(f" ({len(done)} of {len(waiting)} layers)")
        except TimeoutError as error:
            raise Retryable(f"nothing happened for {SILENCE_SECONDS:g} s") from error

    def _hint(self, why: str) -> str:
        """Say what to do about a password, if it is about one."""
        if not any(words in why.lower() for words in _DENIED):
            return ""
        helper = self._passwords.helper(image_name(self._image).registry)
        if helper:
            return f"; its password is kept by {helper}, which Zoe does not run: see docker_auth"
        return "; is its name right? A private one needs `docker login`: see docker_auth"

    def _say(self, more: str) -> None:
        self.message = f"waits until {self._engine.name} has pulled {self._image}{more}"
        for say in self.listeners:
            say(self.message)
