"""The engines that administrators have added: the store has them, the back-end uses them.

One that is to go takes nothing new, by its mark. When nothing is left there it goes, for good.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import structlog

from zoe.backends.base import Retryable
from zoe.model.cluster import NodeMark, Observation
from zoe.model.engines import AddedEngine, EngineSpec, parse_engines
from zoe.model.execution import Execution
from zoe.store.base import Store

log = structlog.get_logger("master")


class UsesEngines(Protocol):
    """A back-end whose engines may change while it runs."""

    async def use(self, engines: str) -> None:
        """Use these engines, too, and no others beside those of the settings."""


class Fleet:
    """What a reign knows of them; ``named`` are the engines of the settings, which go first."""

    def __init__(self, store: Store, backend: UsesEngines, named: Sequence[EngineSpec]) -> None:
        self._store = store
        self._backend = backend
        self._named = named
        self._known: Sequence[AddedEngine] = ()
        self._used: Sequence[AddedEngine] | None = None
        self._dropped: set[str] = set()
        """Those that are used no longer, until their nodes have been seen to be gone."""

    async def follow(self) -> None:
        """Have the back-end use what the store has now; raises StoreUnavailable."""
        self._known = await self._store.engines.read()
        await self._use()

    async def let_go(
        self,
        observation: Observation,
        executions: Iterable[Execution],
        marks: Iterable[NodeMark],
    ) -> None:
        """Have those that are to go, and on which nothing is left, gone; raises StoreUnavailable.

        ``marks`` are those that the scheduler knows: on a node with one it places nothing. What
        nobody can end, as its engine is to go at once, counts as lost when the node is gone.
        """
        nodes = {node.name for node in observation.nodes}
        held = {one.node for one in observation.instances}
        held |= {each.node for one in executions for each in one.instances if each.is_placed}
        idle = {mark.name for mark in marks} - held
        for engine in [each for each in self._known if each.leaving]:
            if engine.name not in self._dropped:
                if engine.at_once or engine.name in idle:
                    self._dropped.add(engine.name)
            elif engine.name not in nodes:
                log.info("engine gone", name=engine.name, engine=engine.words)
                await self._store.marks.remove(engine.name)
                await self._store.engines.forget(engine.name)
                self._dropped.discard(engine.name)
                self._known = [each for each in self._known if each != engine]
        await self._use()

    async def _use(self) -> None:
        wanted = [engine for engine in self._known if engine.name not in self._dropped]
        if wanted == self._used:
            return
        text = "; ".join(self._usable(wanted))
        try:
            await self._backend.use(text)
        except Retryable as fault:
            log.warning("engines not changed", why=str(fault))
        else:
            self._used = wanted
            log.info("uses engines beside those of the settings", engines=text)

    def _usable(self, engines: Iterable[AddedEngine]) -> Iterator[str]:
        """Yield those that can be read, and are not named otherwise: settings may have changed."""
        names = {spec.name for spec in self._named}
        urls = {spec.url for spec in self._named}
        for engine in engines:
            try:
                (spec,) = parse_engines(engine.text)
            except ValueError as error:
                log.warning("engine not used", name=engine.name, why=str(error))
                continue
            if spec.name in names or spec.url in urls:
                log.warning("engine not used", name=engine.name, why="it is named elsewhere")
                continue
            names.add(spec.name)
            urls.add(spec.url)
            yield engine.text
