"""The language of the scenarios: what their lines mean, and how decisions are shown."""

import re
from dataclasses import replace

from zoe.model.amounts import cores
from zoe.model.change import Defer, Forget, SetBalances, SetInstance, SetNodes, SetStatus
from zoe.model.cluster import Node, NodeMark, NodeStatus
from zoe.model.execution import (
    Exit,
    ExitReason,
    InstanceStatus,
    ServiceInstance,
)
from zoe.model.load import NodeLoad
from zoe.model.quota import Accounts, Quota, Team, User
from zoe.model.resources import NOTHING, Resources
from zoe.model.zapp import (
    Condition,
    Framework,
    Kind,
    RestartPolicy,
    Service,
    ShrinkHook,
    Speedup,
    ZApp,
)
from zoe.scheduler.decisions import Decision, ResizeInstance, StartInstance, StopInstance, WakeAt

GIB = 1024**3


def read_resources(text: str) -> Resources:
    """Read ``2c/4g/1gpu``."""
    found = NOTHING
    for part in text.split("/"):
        number, unit = re.fullmatch(r"([0-9.]+)(c|g|gpu)", part).groups()  # type: ignore[union-attr]
        match unit:
            case "c":
                found += Resources(cores_milli=round(float(number) * 1000))
            case "g":
                found += Resources(memory_bytes=round(float(number) * GIB))
            case _:
                found += Resources(gpus=int(number))
    return found


def read_service(words: list[str]) -> tuple[str, Service]:
    """Read ``dask.worker 1c/2g 1+4 after=scheduler:ready monitor ...``."""
    framework, name = words[0].split(".")
    fields: dict[str, object] = {"resources": read_resources(words[1])}
    needs: dict[str, Condition] = {}
    for word in words[2:]:
        key, _, value = word.partition("=")
        match key:
            case "after":
                needed, _, condition = value.partition(":")
                needs[needed] = Condition(condition)
            case "monitor" | "spread":
                fields[key] = True
            case "image":
                fields[key] = value
            case "speedup":
                fields[key] = read_speedup(value)
            case "labels":
                fields["labels"] = tuple(value.split(","))
            case "grace":
                fields["shrink"] = ShrinkHook(grace_seconds=float(value))
            case "restart":
                fields["restart"] = RestartPolicy("on-failure", int(value), 10.0)
            case _:
                essential, _, elastic = word.partition("+")
                fields["essential"], fields["elastic"] = int(essential), int(elastic or 0)
    return framework, Service(name, depends_on=needs, **fields)  # type: ignore[arg-type]


def read_speedup(text: str) -> Speedup:
    """Read ``0.95`` or ``2:1.9+4:3``."""
    if ":" not in text:
        return Speedup(float(text))
    points = (point.split(":") for point in text.split("+"))
    return Speedup(points=tuple((int(count), float(speed)) for count, speed in points))


def read_zapp(name: str, lines: list[str], options: list[str]) -> ZApp:
    frameworks: dict[str, list[Service]] = {}
    needs: dict[str, dict[str, Condition]] = {}
    for line in lines:
        words = line.split()
        if words[0] == "framework":
            needed, _, condition = words[2].removeprefix("after=").partition(":")
            needs.setdefault(words[1], {})[needed] = Condition(condition)
            continue
        framework, service = read_service(words)
        frameworks.setdefault(framework, []).append(service)
    return ZApp(
        name,
        Kind.INTERACTIVE if "interactive" in options else Kind.BATCH,
        tuple(Framework(f, tuple(each), needs.get(f, {})) for f, each in frameworks.items()),
        next((float(o.removeprefix("limit=")) for o in options if o[:6] == "limit="), None),
    )


def read_shares(lines: list[str]) -> Accounts:
    """Read ``ann cores=4 teams=physics`` and ``team physics cores=8 guaranteed=4c/8g``."""
    users, teams = {}, {}
    for line in lines:
        name, *words = line.removeprefix("team ").split()
        given = dict(word.split("=") for word in words)
        names = {"cores": "cores_milli", "memory": "memory_bytes", "run": "run_seconds"}
        scale = {"cores": 1000, "memory": GIB}
        quota = Quota(
            **{
                names.get(key, key): int(value) * scale.get(key, 1)
                for key, value in given.items()
                if key not in ("teams", "guaranteed")
            }
        )
        if line.startswith("team "):
            guaranteed = read_resources(given["guaranteed"]) if "guaranteed" in given else NOTHING
            teams[name] = Team(name, guaranteed=guaranteed, quota=quota)
        else:
            named = tuple(given["teams"].split(",")) if "teams" in given else ()
            users[name] = User(name, named, quota=None if quota == Quota() else quota)
    return Accounts(users, teams)


def read_node(text: str) -> Node:
    """Read ``n1=8c/16g/2gpu,ssd,foreign:1c,gpus:a+b,images:x+y,pulls,unreachable:no route``."""
    name, _, rest = text.partition("=")
    size, *marks = rest.split(",")
    node = Node(name, read_resources(size))
    labels, status, message, foreign = set(), NodeStatus.READY, "", NOTHING
    gpus: tuple[str, ...] = ()
    images: frozenset[str] | None = None
    for mark in marks:
        key, _, value = mark.partition(":")
        if key in set(NodeStatus):
            status, message = NodeStatus(key), value.replace("_", " ")
        elif key == "images":
            images = frozenset(filter(None, value.split("+")))
        elif key == "pulls":
            node = replace(node, pulls=True)
        elif key == "gpus":
            gpus = tuple(value.split("+"))
        elif key == "foreign":
            foreign = read_resources(value)
        else:
            labels.add(key)
    known = frozenset(labels)
    said = replace(node, foreign=foreign, labels=known, status=status, message=message)
    return replace(said, gpus=gpus, images=images)


def read_mark(text: str) -> NodeMark:
    """Read ``n1=draining:new disk``, written with ``_`` for blanks; ann has said it."""
    name, _, rest = text.partition("=")
    status, _, reason = rest.partition(":")
    return NodeMark(name, NodeStatus(status), "ann", reason.replace("_", " "))


def read_load(text: str) -> NodeLoad:
    """Read ``n1=3,outside:2g,pressure:too_full,most:1/a.b/1:3g+1/a.b/2:1g``."""
    name, _, rest = text.partition("=")
    level, *marks = rest.split(",")
    given = dict(mark.split(":", 1) for mark in marks)
    most = (each.rsplit(":", 1) for each in given.get("most", "").split("+") if each)
    return NodeLoad(
        name,
        int(level),
        read_resources(given["outside"]).memory_bytes if "outside" in given else 0,
        given.get("pressure", "").replace("_", " "),
        tuple((key, read_resources(memory).memory_bytes) for key, memory in most),
    )


def read_option(text: str) -> tuple[str, object]:
    key, _, value = text.partition("=")
    if value in ("true", "false"):
        return key, value == "true"
    if value.replace(".", "", 1).isdecimal():
        return key, float(value) if "." in value else int(value)
    return key, value


def read_exit(words: list[str]) -> Exit:
    match words:
        case ["0"]:
            return Exit(ExitReason.COMPLETED, code=0)
        case ["oom"]:
            return Exit(ExitReason.OUT_OF_MEMORY, code=137)
        case ["signal", number]:
            return Exit(ExitReason.FAILED, signal=int(number))
        case ["not-started", *message]:
            return Exit(ExitReason.NOT_STARTED, message=" ".join(message))
        case ["lost"]:
            return Exit(ExitReason.LOST)
        case ["failed"]:
            return Exit(ExitReason.FAILED)
        case [code]:
            return Exit(ExitReason.FAILED, code=int(code))
    raise AssertionError(words)


def show(decision: Decision) -> str:
    match decision:
        case SetStatus(execution_id, status, _, reason, end):
            ending = ""
            if end is not None:
                code = "" if end.exit_code is None else f" {end.exit_code}"
                ending = f" [{end.outcome}{code}]"
            return f"{execution_id} {status}{ending}: {reason}"
        case SetInstance(instance, _, reason):
            return f"{instance.id} {describe(instance)}: {reason}"
        case Defer(execution_id, position, _, reasons):
            said = "; ".join(f"[{reason.code}] {reason.message}" for reason in reasons)
            return f"{execution_id} waits at {position}: {said}"
        case SetNodes(nodes):
            return "nodes " + " ".join(map(show_node, nodes))
        case SetBalances(balances):
            return "\n".join(
                f"balance of {each.user} for {each.team or 'no team'}: "
                f"{cores(each.held[0])}, on average {each.average[0] / 1000:.3g}"
                for each in balances
            )
        case Forget(execution_id):
            return f"forget {execution_id}"
        case StartInstance(instance):
            return f"  -> start {instance.id} attempt {instance.attempt} on {instance.node}"
        case StopInstance(instance_id, attempt, grace, shrink, _):
            how = " shrink" if shrink else ""
            return f"  -> stop {instance_id} attempt {attempt} grace {grace:g}{how}"
        case WakeAt(time):
            return f"  -> wake at {time:g}"
        case ResizeInstance(instance_id):
            return f"  -> resize {instance_id}"


def show_node(node: Node) -> str:
    return f"{node.name}:{node.status}" + (f" ({node.pressure})" if node.pressure else "")


def describe(instance: ServiceInstance) -> str:
    marks = [f"{instance.status} on {instance.node}"]
    if instance.gpus:
        marks.append(f"GPUs {'+'.join(instance.gpus)}")
    if instance.message and instance.status is InstanceStatus.STARTING:
        marks.append(f"it {instance.message}")
    if instance.attempt > 1:
        marks.append(f"attempt {instance.attempt}")
    if instance.ready:
        marks.append("ready")
    if instance.status is InstanceStatus.WAITING and instance.not_before:
        marks.append(f"not before {instance.not_before:g}")
    return ", ".join(marks)
