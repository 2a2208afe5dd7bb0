"""The port to what runs instances; every back-end passes the same conformance suite.

A back-end is driven by id and attempt, and every call is idempotent: starting what runs, stopping
what has stopped and removing what is gone all succeed. ``observe`` is the truth; ``watch`` only
makes it arrive sooner.

Output: a back-end appends what an instance writes to the files named by
:func:`zoe.model.logs.log_path`, while the instance runs. Logs are therefore readable when the
back-end, or the master, is not.
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Protocol

from zoe.model.cluster import Observation, ObservedInstance
from zoe.model.errors import ZoeError
from zoe.model.execution import Execution, ServiceInstance
from zoe.model.resources import Resources
from zoe.model.samples import Samples
from zoe.model.zapp import ZApp

if TYPE_CHECKING:  # it needs the errors below
    from zoe.backends.fence import Fence


class Retryable(ZoeError):
    """The back-end could not do it now; the same call may succeed later."""


class Refused(ZoeError):
    """The back-end will never do this; the message says why."""


class Backend(Protocol):
    """Runs instances on nodes. Every call is bounded in time and raises Retryable or Refused."""

    name: str
    fence: "Fence"
    """Open while its master leads. While it is closed, nothing is started, and nobody asks."""

    async def open(self) -> None:
        """Connect, and adopt what earlier masters of this deployment started."""

    async def close(self) -> None:
        """Let go of everything; instances go on running."""

    async def start(self, execution: Execution, instance: ServiceInstance) -> None:
        """Start this attempt on ``instance.node``; returns once it is accepted.

        What takes longer, as its image, is waited for while it is observed as STARTING with a
        ``message``. A new master may not find it then: it asks to start the attempt again.

        ``execution`` carries all instances that are placed now, for the names of its peers.
        The instance gets the GPUs ``instance.gpus`` of the node and no others; Retryable while
        another attempt that lives has one of them, or the node has not.
        """

    async def stop(
        self, instance_id: str, attempt: int, *, grace_seconds: float, shrink: bool
    ) -> None:
        """Begin to stop it: the shrink hook (if asked), SIGTERM, SIGKILL after the grace.

        Returns at once; its end is observed. A later call with a shorter grace hastens it.
        """

    async def resize(self, instance_id: str, attempt: int, limits: Resources) -> None:
        """Give a running instance other limits."""

    async def remove(self, instance_id: str, attempt: int) -> None:
        """Forget a stopped attempt: its exit is in the store now. Its output stays."""

    async def forget(self, execution_id: int) -> None:
        """Delete the output of an execution, all of whose attempts have stopped."""

    async def observe(self) -> Observation:
        """List every node and every attempt of this deployment that has not been removed.

        A back-end that does not get images by itself says which ones each node has
        (``Node.images``): then nothing that needs another one is started there. One that gets them,
        too, may say which are there (``Node.pulls``): nodes that have one are preferred, of equal
        ones. None means that it gets them and nobody knows which it has, or uses none.
        """

    async def sample(self) -> Samples:
        """Return what every node that answers, and every attempt that lives on it, use now.

        It may leave out what cannot be told, and must cost little: it is called again and again.
        """

    def describe(self, zapp: ZApp) -> list[str]:
        """Return what differs from running ``zapp`` as written, and what cannot run, for people."""

    def watch(self) -> AsyncIterator[ObservedInstance]:
        """Yield what changes, as it changes. A hint: it may repeat or skip. Ends on close."""
