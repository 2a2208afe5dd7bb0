"""The port to the state: what the api writes and reads, what the master loads and records.

The api commits *intents* (submit, stop, scale, delete) and reads; the master, holding the lease
with its epoch, loads what is not ended, records changes and acknowledges intents. Both twins,
:class:`zoe.store.memory.MemoryStore` and :class:`zoe.store.postgres.PostgresStore`, pass the same
conformance suite.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from zoe.model.balance import Balance
from zoe.model.change import Change
from zoe.model.cluster import Node
from zoe.model.errors import ZoeError
from zoe.model.execution import Execution, ExecutionStatus, Forecast
from zoe.model.zapp import ZApp

if TYPE_CHECKING:  # it needs the errors below
    from zoe.store.accounts import AccountBook
    from zoe.store.engines import EngineBook
    from zoe.store.marks import MarkBook
    from zoe.store.uses import UseBook


class StoreUnavailable(ZoeError):
    """The database cannot be reached."""


class StaleEpoch(ZoeError):
    """Another master has taken over; this one must not write any more."""


class NotFound(ZoeError):
    """There is no such thing."""


class Conflict(ZoeError):
    """The thing is not in a state that allows this."""


@dataclass(frozen=True, slots=True)
class NewExecution:
    """What a user submits. ``source`` is the document as it was sent, for showing it again."""

    name: str
    owner: str
    zapp: ZApp
    source: str
    idempotency_key: str = ""
    """Unique per owner; the same key again returns the first execution and changes nothing."""
    team: str = ""
    """The team of the owner for which it runs; empty: none."""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One row of ``execution_event``: what changed, when, why. ``id`` grows over all executions."""

    id: int
    execution_id: int
    at: float
    kind: str
    """submitted, stop-requested, scale-requested, delete-requested, status, instance, deferred."""
    message: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of executions, newest first; ``next_cursor`` is empty on the last."""

    items: Sequence[Execution]
    next_cursor: str = ""


@dataclass(frozen=True, slots=True)
class PastForecast:
    """The first forecast of an execution that has started, and when it did."""

    forecast: Forecast
    started_at: float


@dataclass(frozen=True, slots=True)
class Masters:
    """Who leads, and who waits to."""

    leader: str = ""
    """Its host and process id; empty: nobody."""
    endpoint: str = ""
    """Where it is reached."""
    epoch: int = 0
    since: float = 0.0
    standby: Sequence[str] = ()
    """Those that were seen in the last seconds, by host and process id."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token as it is kept: only the sha256 of its text."""

    hash: str
    name: str
    user: str
    role: str
    created_at: float


class Store(Protocol):
    """Everything durable. Every method may raise StoreUnavailable; nothing is half done then."""

    @property
    def accounts(self) -> "AccountBook":
        """Users and teams with their shares."""

    @property
    def marks(self) -> "MarkBook":
        """The nodes that administrators have taken out of service."""

    @property
    def engines(self) -> "EngineBook":
        """The Docker Engines that administrators have added to those of the settings."""

    @property
    def uses(self) -> "UseBook":
        """What instances and nodes were seen to use."""

    async def open(self) -> None:
        """Connect and check the schema; raises with instructions when it is another version."""

    async def close(self) -> None:
        """Release every connection."""

    # Intents, written by the api.

    async def submit(self, new: NewExecution) -> Execution:
        """Commit a new execution, status ``submitted``, and return it with its id."""

    async def request_stop(self, execution_id: int, by: str) -> Execution:
        """Commit the wish to end it. Ended already: returned unchanged. Raises NotFound."""

    async def request_scale(
        self, execution_id: int, service: str, elastic: int, by: str, elastic_min: int = 0
    ) -> Execution:
        """Commit other elastic counts: how many are wanted, how many others may not take back.

        Raises NotFound; Conflict when it is ending or ended; ValueError for a minimum above what
        is wanted, or above what the application declares.
        """

    async def request_delete(self, execution_id: int, by: str) -> Execution:
        """Commit the wish to stop and forget it, and return it. Raises NotFound.

        One that has ended vanishes at once, and is returned as it was.
        """

    # Reading, by the api.

    async def get(self, execution_id: int) -> Execution:
        """Return one execution with its instances. Raises NotFound."""

    async def find(self, owner: str | None, reference: str) -> Execution:
        """Find by id, exact name or unique prefix of a name; the newest of equal names.

        Raises NotFound, and Conflict naming the candidates when a prefix is ambiguous.
        """

    async def source(self, execution_id: int) -> str:
        """Return the application description as it was submitted. Raises NotFound."""

    async def page(
        self,
        *,
        owner: str | None = None,
        statuses: frozenset[ExecutionStatus] = frozenset(),
        name: str = "",
        limit: int = 50,
        cursor: str = "",
    ) -> Page:
        """Return executions, newest first, without their instances; empty filters match all.

        Raises ValueError for a cursor that it did not make.
        """

    async def history(
        self, execution_id: int | None, *, after: int = 0, limit: int = 1000, newest: bool = False
    ) -> Sequence[HistoryEntry]:
        """Return history entries with ``id > after``, oldest first, of one execution or of all.

        When there are more than ``limit``: the oldest of them, or with ``newest`` the newest.
        """

    async def nodes(self) -> Sequence[Node]:
        """Return the nodes as the master last recorded them."""

    async def counts(self) -> Mapping[ExecutionStatus, int]:
        """Return how many executions have each status."""

    async def queue(self, *, owner: str | None = None, limit: int = 500) -> Sequence[Execution]:
        """Return those that wait, by their place in the queue, without instances.

        Those without a place, which the master has not looked at yet, come last.
        """

    async def past_forecasts(self, limit: int = 200) -> Sequence[PastForecast]:
        """Return what became of forecasts: those of the executions that started last, in order."""

    # Notifications, for both.

    def changes(self) -> AsyncIterator[int]:
        """Yield an execution id soon after each commit about it, 0 when some may have been missed.

        A hint, never the truth: it may repeat or skip. Ends only when it is closed.
        """

    # The master.

    async def lead(self, holder: str, ttl_seconds: float, endpoint: str = "") -> int | None:
        """Take the lease if it is free or expired and return a new epoch; None if it is held.

        Who gets None stands by. ``endpoint`` is where the apis reach the master.
        """

    async def hold(self, seconds: float) -> bool:
        """Wait; return at once, and False, when the lease may be lost because a connection is."""

    async def masters(self) -> Masters:
        """Return who leads and who stands by."""

    async def renew(self, epoch: int, ttl_seconds: float) -> None:
        """Keep the lease. Raises StaleEpoch when another epoch has taken it."""

    async def resign(self, epoch: int) -> None:
        """Give the lease up, so that another master need not wait for its end."""

    async def load(self) -> Sequence[Execution]:
        """Return every execution that has not ended, with its instances, oldest first."""

    async def balances(self) -> Sequence[Balance]:
        """Return what everybody has used, by team and user."""

    async def intents(self) -> Sequence[Execution]:
        """Return the executions whose newest intent is not acknowledged, with their instances."""

    async def record(self, changes: Sequence[Change], epoch: int) -> None:
        """Commit all changes and their history in one transaction, or none of them.

        Raises StaleEpoch when ``epoch`` does not hold the lease, IllegalTransition when a change
        contradicts the state machines.
        """

    # Access tokens.

    async def add_token(self, token: Token) -> None:
        """Keep a token's hash."""

    async def find_token(self, hash: str) -> Token | None:
        """Return the token with this hash, if there is one."""

    async def tokens(self) -> Sequence[Token]:
        """Return every token, oldest first."""
