"""The agent: one small process per deployment that owns all instances on this machine.

It outlives the master, which finds it again by its socket. It reaps every descendant (it is their
subreaper), keeps a record of every attempt, and ends when asked, or after a while without work and
without a master. An agent of another version is replaced by executing the new one in its place, so
the instances remain its children. An agent that was killed is followed by one that ends what was
left, and reports it as lost: only a parent learns how its child ended.
"""

import asyncio
import os
import re
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from zoe import __version__
from zoe.backends.process import tree
from zoe.backends.process.addresses import Addresses
from zoe.backends.process.cgroups import Cgroups, Group, Limits
from zoe.backends.process.frames import PROTOCOL, Message, frame, read_frame
from zoe.backends.process.instance import Instance
from zoe.backends.process.journal import Journal
from zoe.backends.process.records import Record, Records
from zoe.backends.process.spawn import CannotStart

STOP_GRACE_SECONDS = 10.0
"""Grace of instances when the agent itself is told to end."""
PENDING_MAX_BYTES = 16 * 1024 * 1024
"""A watcher that does not read is cut off; it comes back and asks."""
ORPHANS_SECONDS = 10.0
"""How long it may take to end what a killed agent left."""
_ID = re.compile(r"\d+/[a-z0-9-]+\.[a-z0-9-]+/\d+")


class Rejected(Exception):
    """A call that is not carried out; ``retryable`` tells whether it may be later."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


class Agent:
    """All instances of one deployment on this machine, and those who ask about them."""

    def __init__(
        self, deployment: str, folder: Path, cgroups: Cgroups | None, journal: Journal
    ) -> None:
        self.cgroups = cgroups
        self._journal = journal
        self._records = Records(folder)
        self._known: dict[tuple[str, int], Record] = {}
        self._live: dict[tuple[str, int], Instance] = {}
        self._addresses = Addresses(f"{deployment}@{folder}", self._records.load_addresses())
        self._children: dict[int, asyncio.Future[int]] = {}
        self._watchers: set[asyncio.StreamWriter] = set()
        self._scan: asyncio.Future[dict[tree.Mark, set[int]]] | None = None
        self.clients = 0
        self.epoch = 0
        """The highest epoch of a master that has changed something here."""
        self.done = asyncio.Event()
        self._is_ending = False
        self.replacement: Sequence[str] = ()

    # What instances need (see Surroundings).

    def save(self, record: Record) -> None:
        """Keep the record and tell everybody."""
        self._known[record.key] = record
        try:
            self._records.save(record)
        except OSError as error:
            if record.status == "starting":
                raise  # nothing may start that an heir would not find
            self._journal.write(f"{record.name} cannot be recorded: {error}")
        push = frame({"event": record.observed()})
        for watcher in list(self._watchers):
            if watcher.transport.get_write_buffer_size() > PENDING_MAX_BYTES:
                watcher.transport.abort()
            else:
                watcher.write(push)

    def group(self, record: Record) -> Group | None:
        """Return its control group, where there are any."""
        return self.cgroups.group(record.name) if self.cgroups else None

    async def marked(self, mark: tree.Mark) -> set[int]:
        """Return the living processes that wear ``mark``; many who ask share one scan."""
        if self._scan is None:
            loop = asyncio.get_running_loop()
            self._scan = loop.create_future()
            loop.call_later(0.005, self._look)
        found = await asyncio.shield(self._scan)
        return {pid for pid in found.get(mark, ()) if tree.start_ticks(pid) is not None}

    def expect_exit(self, pid: int) -> "asyncio.Future[int]":
        """Return what will be the wait status of the child ``pid``."""
        return self._children.setdefault(pid, asyncio.get_running_loop().create_future())

    def _look(self) -> None:
        asked, self._scan = self._scan, None
        assert asked is not None
        asked.set_result(tree.scan())

    # Taking over what an earlier agent left.

    def take_over(self, *, as_parent: bool) -> None:
        """Go on with what is recorded: as its parent, or by ending what is left of it."""
        orphans = []
        for record in self._records.load():
            self._known[record.key] = record
            if record.status == "stopped":
                continue
            if as_parent and record.pid and _is_child(record.pid):
                self._resume(record)
            else:
                orphans.append(record)
        self._end_orphans(orphans)
        wanted = {instance.record.name for instance in self._live.values()}
        if self.cgroups is not None:
            for name in self.cgroups.names() - wanted:
                group = self.cgroups.group(name)
                group.kill()
                group.remove()
        for execution_id in self._addresses.executions():
            self._release(execution_id)

    def _resume(self, record: Record) -> None:
        instance = self._live[record.key] = Instance(record, self, self._ended)
        instance.watch()
        if record.status == "stopping":
            instance.stop(STOP_GRACE_SECONDS, shrink=False)

    def _end_orphans(self, orphans: list[Record]) -> None:
        boot = tree.boot_id()
        same_boot = [record for record in orphans if record.boot == boot]
        marks = {record.mark for record in same_boot}
        until = time.monotonic() + ORPHANS_SECONDS
        while same_boot and time.monotonic() < until:
            left = {
                pid
                for mark, pids in tree.scan().items()
                if mark in marks
                for pid in pids
                if tree.start_ticks(pid) is not None
            }
            for record in same_boot:
                if (group := self.group(record)) is not None:
                    group.kill()
                    left |= group.pids()
            if not left:
                break
            tree.kill(left, signal.SIGKILL)
            time.sleep(0.01)
        for record in orphans:
            why = "the agent that watched over it was killed"
            if record.boot != boot:
                why = "the machine was restarted"
            record.status, record.ready = "stopped", False
            record.exit = {"reason": "lost", "code": None, "signal": None, "message": why}
            self.save(record)
            self._journal.write(f"{record.name} is lost: {why}")

    # The calls.

    def call_hello(self, call: Message) -> Message:
        """Say who this is."""
        return {"protocol": PROTOCOL, "version": __version__, "pid": os.getpid()}

    def call_addresses(self, call: Message) -> Message:
        """Return the addresses of all instances that an execution may have, by service."""
        before = len(self._addresses.chunks)
        addresses = {
            service: self._addresses.of_service(call["execution_id"], service, count)
            for service, count in call["services"].items()
        }
        if len(self._addresses.chunks) != before:
            self._records.save_addresses(self._addresses.chunks)
        return addresses

    def call_start(self, call: Message) -> None:
        """Start an attempt, unless it is known."""
        if self._is_ending:
            raise Rejected("everything is being stopped", retryable=True)
        record = Record(**call["record"])
        record.limits = Limits(*record.limits)
        if not _ID.fullmatch(record.instance_id) or not record.command:
            raise Rejected(
                "an instance has an id like 17/spark.worker/3 and a command", retryable=False
            )
        if record.key in self._known:
            return
        for other in self._attempts_of(record.instance_id):
            if other.attempt > record.attempt:
                message = f"attempt {other.attempt} of {record.instance_id} came after it"
                raise Rejected(message, retryable=False)
            if other.status != "stopped":
                message = f"attempt {other.attempt} of {record.instance_id} still runs"
                raise Rejected(message, retryable=True)
        for live in self._live.values():
            if shared := set(live.record.gpus).intersection(record.gpus):
                message = f"{live.record.instance_id} still has the GPU {min(shared)}"
                raise Rejected(message, retryable=True)
        folder = self._records.folder(record)
        for inside in ("tmp", "work"):
            (folder / inside).mkdir(parents=True, exist_ok=True)
        record.environment.setdefault("TMPDIR", str(folder / "tmp"))
        record.work_dir = str(folder / "work" / record.work_dir)
        instance = Instance(record, self, self._ended)
        self._live[record.key] = instance
        try:
            instance.start()
        except (CannotStart, OSError) as error:
            del self._live[record.key]
            self._forget(record)
            retryable = not isinstance(error, CannotStart) or error.retryable
            raise Rejected(str(error), retryable=retryable) from error

    def call_stop(self, call: Message) -> None:
        """Begin to stop an attempt; one that was not started yet never will be."""
        key = (call["instance_id"], call["attempt"])
        if not _ID.fullmatch(key[0]):
            raise Rejected("an instance has an id like 17/spark.worker/3", retryable=False)
        if (instance := self._live.get(key)) is not None:
            instance.stop(call["grace_seconds"], call["shrink"])
        elif key not in self._known:
            why = "it was stopped before it started"
            exit = {"reason": "stopped", "code": None, "signal": None, "message": why}
            self.save(Record(*key, status="stopped", exit=exit, boot=tree.boot_id()))

    def call_resize(self, call: Message) -> None:
        """Give a living attempt other limits."""
        instance = self._live.get((call["instance_id"], call["attempt"]))
        if instance is None:
            raise Rejected("it does not run", retryable=False)
        group = self.group(instance.record)
        if group is None:
            raise Rejected("limits cannot be changed without control groups", retryable=False)
        limits = Limits(*call["limits"])
        try:
            group.limit(limits)
        except OSError as error:
            raise Rejected(f"the kernel refused: {error.strerror}", retryable=True) from error
        instance.record.limits = limits
        self.save(instance.record)

    def call_remove(self, call: Message) -> None:
        """Forget a stopped attempt."""
        record = self._known.get((call["instance_id"], call["attempt"]))
        if record is None:
            return
        if record.key in self._live:
            raise Rejected("it has not stopped yet", retryable=True)
        self._forget(record)

    def call_observe(self, call: Message) -> Message:
        """Return every attempt, and what limits are enforced how."""
        instances = [record.observed() for record in self._known.values()]
        return {"instances": instances, "enforcement": self._enforcement()}

    async def call_sample(self, call: Message) -> list[Message]:
        """Return what every attempt that lives uses; other calls are not kept waiting for it."""
        marked = {} if self.cgroups is not None or not self._live else tree.scan()
        samples = []
        for key, instance in list(self._live.items()):
            if key in self._live:
                used = instance.sample(marked.get(instance.record.mark, set()))
                samples.append({"instance_id": key[0], "attempt": key[1], **used})
                await asyncio.sleep(0)
        return samples

    async def call_shutdown(self, call: Message) -> None:
        """Stop everything, then end; nothing starts meanwhile."""
        self._is_ending = True
        for instance in list(self._live.values()):
            instance.stop(call["grace_seconds"], shrink=False)
        while self._live:
            await next(iter(self._live.values())).ended()
        self.done.set()

    def call_replace(self, call: Message) -> None:
        """Become the program ``command``, which goes on as the parent of the instances."""
        self.replacement = list(call["command"])
        self.done.set()

    def _attempts_of(self, instance_id: str) -> list[Record]:
        return [record for record in self._known.values() if record.instance_id == instance_id]

    def _ended(self, instance: Instance) -> None:
        del self._live[instance.record.key]

    def _forget(self, record: Record) -> None:
        self._known.pop(record.key, None)
        self._records.remove(record)
        self._release(record.execution_id)

    def _release(self, execution_id: int) -> None:
        if all(record.execution_id != execution_id for record in self._known.values()):
            self._addresses.release(execution_id)
            self._records.save_addresses(self._addresses.chunks)

    def _enforcement(self) -> str:
        if self.cgroups is None:
            return "memory is limited for each process, not for an instance; cores are not limited"
        return f"memory, cores and processes are limited by control groups v{self.cgroups.version}"

    @property
    def is_idle(self) -> bool:
        """Whether nobody needs it."""
        return not self._live and not self.clients

    # The connections.

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the calls of one connection, in order."""
        self.clients += 1
        try:
            while True:
                call = await read_frame(reader)
                if self.done.is_set():
                    return  # whoever asks now shall ask the next agent
                writer.write(frame({"id": call.get("id"), **await self._answer(call, writer)}))
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass  # it went away, or the agent ends
        finally:
            self.clients -= 1
            self._watchers.discard(writer)
            writer.close()

    async def _answer(self, call: Message, writer: asyncio.StreamWriter) -> Message:
        name = call.get("call")
        if name == "watch":
            self._watchers.add(writer)
            for record in self._known.values():
                writer.write(frame({"event": record.observed()}))
            return {"result": None}
        method = getattr(self, f"call_{name}", None)
        if method is None:
            return {"error": f"there is no call {name}", "retryable": False}
        try:
            self._obey(call)
            result = method(call)
            return {"result": await result if asyncio.iscoroutine(result) else result}
        except Rejected as error:
            return {"error": str(error), "retryable": error.retryable}
        except OSError as error:
            self._journal.write(f"{name}: {error}")
            return {"error": f"the system refused: {error}", "retryable": True}
        except Exception as error:
            self._journal.write(f"{name}: {error!r}")
            return {"error": f"the agent could not carry it out: {error!r}", "retryable": False}

    def _obey(self, call: Message) -> None:
        """Raise Rejected for what a master wants that another one has followed."""
        epoch = call.get("epoch", 0)
        if epoch and epoch < self.epoch:
            self._journal.write(f"epoch {epoch} wants to {call['call']}, and {self.epoch} leads")
            raise Rejected(f"a master with epoch {self.epoch} leads", retryable=True)
        self.epoch = max(self.epoch, epoch)

    def reap(self) -> None:
        """Collect every child that ended, ours and adopted ones."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            exited = self._children.pop(pid, None)
            if exited is not None and not exited.done():
                exited.set_result(status)


def _is_child(pid: int) -> bool:
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
