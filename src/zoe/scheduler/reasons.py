"""Why an execution gets no room: the attempt to place it gives the answer or the reason."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from heapq import nlargest
from operator import itemgetter

from zoe.model.cluster import Node, NodeStatus
from zoe.model.execution import Execution, Reason
from zoe.model.resources import NOTHING, Resources
from zoe.scheduler import words
from zoe.scheduler.fitting import Fitting
from zoe.scheduler.gang import Lack, fits_on
from zoe.scheduler.room import Room

NEVER = "can-never-start"
"""Code of the reasons that nothing but other machines, or another application, can change."""
SHOWN = 3
"""How many executions are named in one sentence."""

Usage = tuple[Execution, tuple[int, int, int]]
"""An execution and the cores, memory and GPUs that it holds."""
Holders = tuple[Sequence[Usage], int]
"""At least those :data:`SHOWN` that hold most, and how many there are."""


def why_not(
    room: Room,
    wanted: Sequence[tuple[Lack, Fitting]],
    usage: Callable[[int | None], Holders],
    kept: Sequence[tuple[Execution, int]] = (),
) -> Reason:
    """Say why ``wanted``, for which there was no room a moment ago, has none.

    ``usage`` tells who holds how much on a node (its number), or on all nodes together; ``kept``,
    how many elastic instances of whom are not taken back because of a minimum.
    """
    reason = _why_no_room(room, wanted, usage)
    return replace(reason, message=reason.message + _said_kept(kept)) if kept else reason


def _why_no_room(
    room: Room,
    wanted: Sequence[tuple[Lack, Fitting]],
    usage: Callable[[int | None], Holders],
) -> Reason:
    for lack, fitting in wanted:
        best = room.closest(fitting)
        if best is None:
            said = f"no node that {lack.service} may use is ready"
            return Reason("no-node-is-ready", said + _without_image(room.nodes, [lack]))
        free = room.available(best)
        if not lack.each.fits_in(free):
            said = f"{_said_best(lack, room.nodes[best].name, free)} free{_holders(usage(best))}"
            return Reason("no-node-has-room", said + _without_image(room.nodes, [lack]))
    total = _total(lack for lack, _ in wanted)
    there = room.available_total()
    holders = _holders(usage(None)) + _without_image(room.nodes, [lack for lack, _ in wanted])
    if not total.fits_in(there):
        missing = "; ".join(_short(total, there))
        return Reason("not-enough-room", f"its essential instances need {missing}{holders}")
    return Reason(
        "no-room-together",
        f"its essential instances need {words.amount(total)} together; {words.amount(there)} are "
        f"free, but spread over nodes so that not all of them fit{holders}",
    )


def why_never(nodes: Iterable[Node], wanted: Sequence[Lack]) -> Reason | None:
    """Say why ``wanted`` could not be placed even if nothing of ours ran; None when they could.

    Such an execution waits for an administrator, not for others, and must not block the queue.
    """
    known = list(nodes)
    if fits_on(known, wanted):
        return None
    if not known:
        return Reason("no-nodes", "there are no nodes yet")
    empty = [
        Node(node.name, node.capacity, labels=node.labels, images=node.images) for node in known
    ]
    if not fits_on(empty, wanted):
        return Reason(NEVER, f"{_what_lacks(known, wanted)}: it can never start here")
    out = [node for node in known if node.status is not NodeStatus.READY]
    if out:
        return Reason("nodes-not-ready", f"it needs nodes that take nothing now: {_states(out)}")
    foreign = "; ".join(
        f"{words.amount(node.foreign)} on {node.name}" for node in known if node.foreign != NOTHING
    )
    return Reason("used-by-others", f"what is not Zoe's uses the room that it needs: {foreign}")


def _what_lacks(nodes: list[Node], wanted: Sequence[Lack]) -> str:
    for lack in wanted:
        labelled = [node for node in nodes if lack.shape.labels <= node.labels]
        if not labelled:
            return _no_label(nodes, lack)
        usable = [node for node in labelled if node.has_image(lack.shape.image)]
        if not usable:
            which = "node with its labels" if lack.shape.labels else "node"
            return f"no {which} has the image {lack.shape.image} ({lack.service})"
        if not any(lack.each.fits_in(node.capacity) for node in usable):
            best = max(usable, key=lambda node: _closeness(lack.each, node.capacity))
            said = _said_best(lack, best.name, best.capacity)
            return said + _without_image(nodes, [lack])
        if lack.shape.spread and len(usable) < lack.count:
            return (
                f"{lack.service} must be spread over {lack.count} nodes; there are "
                f"{len(usable)} that it may use{_without_image(nodes, [lack])}"
            )
    total, capacity = _total(wanted), _sum(node.capacity for node in nodes)
    if not total.fits_in(capacity):
        missing = "; ".join(_short(total, capacity, "all nodes together have"))
        return f"its essential instances need {missing}"
    return (
        f"its essential instances need {words.amount(total)} together and do not fit on the "
        f"nodes, even when those are empty{_without_image(nodes, wanted)}"
    )


def _without_image(nodes: Sequence[Node], wanted: Iterable[Lack]) -> str:
    """Say which images are missing on how many of the nodes that could be used otherwise."""
    said = []
    for lack in wanted:
        if not lack.shape.image:
            continue
        labelled = [node for node in nodes if lack.shape.labels <= node.labels]
        without = sum(not node.has_image(lack.shape.image) for node in labelled)
        if without:
            where = f"{without} of {words.counted(len(labelled), 'node')}"
            said.append(f"; the image {lack.shape.image} is missing on {where}")
    return "".join(dict.fromkeys(said))


def _no_label(nodes: list[Node], lack: Lack) -> str:
    for label in sorted(lack.shape.labels):
        if not any(label in node.labels for node in nodes):
            return f"no node has the label {label} ({lack.service})"
    labels = words.listed(sorted(lack.shape.labels))
    return f"no node has all the labels {labels} ({lack.service})"


def _said_best(lack: Lack, best: str, room: Resources) -> str:
    """Say what there is on the node that comes closest to having room for one instance."""
    wants = f"it needs {words.amount(lack.each)} on one node for {lack.service}"
    return f"{wants}; the best node, {best}, has {_said_of(lack.each, room)}"


def _closeness(each: Resources, room: Resources) -> float:
    """How much of one instance fits, by its scarcest resource: 1 and above when all of it does."""
    pairs = (
        (each.cores_milli, room.cores_milli),
        (each.memory_bytes, room.memory_bytes),
        (each.gpus, room.gpus),
    )
    return min((have / want for want, have in pairs if want), default=1.0)


def _short(needed: Resources, there: Resources, has: str = "") -> list[str]:
    """Say each resource that is short: ``6 cores together; 4 are free``."""
    short = []
    for want, have, say in (
        (needed.cores_milli, there.cores_milli, words.cores),
        (needed.memory_bytes, there.memory_bytes, words.memory),
        (needed.gpus, there.gpus, lambda count: words.counted(count, "GPU")),
    ):
        if want > have:
            room = say(max(have, 0))
            short.append(
                f"{say(want)} together; {has} {room}"
                if has
                else f"{say(want)} together; {room} free"
            )
    return short


def _holders(holders: Holders) -> str:
    """Say who holds most, largest first."""
    known, count = holders
    if not known:
        return ""
    largest = nlargest(SHOWN, known, key=itemgetter(1))
    said = [
        f"{words.title(execution)} holds {words.amount(Resources(*held))}"
        for execution, held in largest
    ]
    if count > SHOWN:
        said.append(f"{words.counted(count - SHOWN, 'other')} hold the rest")
    return ": " + ", ".join(said)


def _said_kept(kept: Sequence[tuple[Execution, int]]) -> str:
    """Say who keeps elastic instances, most first: ``; 17 (a) keeps 2 elastic instances``."""
    largest = nlargest(SHOWN, kept, key=itemgetter(1))
    said = [
        f"{words.title(execution)} keeps {words.counted(count, 'elastic instance')}"
        for execution, count in largest
    ]
    if len(kept) > SHOWN:
        said.append(f"{words.counted(len(kept) - SHOWN, 'other')} keep some, too")
    return f"; {words.listed(said)} as the minimum that was set"


def _states(nodes: Iterable[Node]) -> str:
    return words.listed(
        f"{node.name} is {node.status}" + (f" ({node.message})" if node.message else "")
        for node in nodes
    )


def _total(wanted: Iterable[Lack]) -> Resources:
    return _sum(lack.total for lack in wanted)


def _sum(amounts: Iterable[Resources]) -> Resources:
    return sum(amounts, NOTHING)


def _said_of(asked: Resources, room: Resources) -> str:
    """Say what there is of each resource that is asked for."""
    said = []
    if asked.cores_milli:
        said.append(words.cores(room.cores_milli))
    if asked.memory_bytes:
        said.append(words.memory(room.memory_bytes))
    if asked.gpus:
        said.append(words.counted(room.gpus, "GPU"))
    return words.listed(said)
