"""Commands about machines: nodes, and node ls, add, rm, cordon, drain, uncordon."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from zoe.cli.output import Format, JsonOption, OutputOption, columns, counted, memory, show, tell
from zoe.cli.session import session

if TYPE_CHECKING:
    from zoe.model.rest_cluster import NodeView

app = typer.Typer()
node = typer.Typer(help="Machines: what runs there, in and out of service.", no_args_is_help=True)
app.add_typer(node, name="node")

NameArgument = Annotated[str, typer.Argument(metavar="NODE")]
EngineArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="ENGINE...",
        help="Where its engine is, as ssh://user@host, and what of it is given away, as cores=8: "
        "as the setting docker_engines says it after the name.",
    ),
]
SEEN_SECONDS = 30.0
"""How long `zoe node add` waits until the master has seen the new machine."""
LOOK_SECONDS = 0.2

ReasonOption = Annotated[str, typer.Option("--reason", help="Why, for those who look.")]


@node.command("ls")
@app.command()
def nodes(
    context: typer.Context, output: OutputOption = Format.TABLE, as_json: JsonOption = False
) -> None:
    """List the machines: what they have, what is free, what runs there."""
    with session(context).zoe() as zoe:
        found = zoe.nodes().items
    show(found, output, as_json, lambda: _nodes(found), lambda: (each.name for each in found))


def _nodes(found: "list[NodeView]") -> str:
    rows = (
        (
            each.name,
            each.status,
            f"{each.free.cores_milli / 1000:g} of {each.capacity.cores_milli / 1000:g}",
            f"{memory(each.free.memory_bytes)} of {memory(each.capacity.memory_bytes)}",
            f"{each.free.gpus} of {each.capacity.gpus}",
            _used(each),
            len(each.instances),
            " ".join(each.labels),
        )
        for each in found
    )
    headings = (
        "NODE",
        "STATUS",
        "FREE CORES",
        "FREE MEMORY",
        "FREE GPUS",
        "IN USE",
        "INSTANCES",
        "LABELS",
    )
    told: dict[str, list[str]] = {}
    for each in found:
        told.setdefault(each.message, []).append(each.name)
    notes = [f"{', '.join(names)}: {message}" for message, names in told.items() if message]
    notes += [
        f"{each.name}: {each.pressure}; no elastic instance is added there"
        for each in found
        if each.pressure
    ]
    notes += [
        f"{each.name}: added by {each.engine.by}: {each.engine.engine}"
        for each in found
        if each.engine
    ]
    notes += [
        f"{each.name}: {gpu.instance} holds GPU {gpu.id}{', which is gone' if gpu.gone else ''}"
        for each in found
        for gpu in each.gpus
        if gpu.instance
    ]
    return "\n".join([columns(headings, rows), *notes])


def _used(node: "NodeView") -> str:
    """Say what of a node is really used, by whom ever."""
    if node.use is None:
        return "-"
    return f"{node.use.cores_milli / 1000:.1f} cores, {memory(node.use.memory_bytes)}"


@node.command()
def add(context: typer.Context, name: NameArgument, engine: EngineArgument) -> None:
    """Take another Docker Engine into service, without a restart."""
    with session(context).zoe() as zoe:
        zoe.add_engine(name, " ".join(engine))
        until = time.monotonic() + SEEN_SECONDS
        while time.monotonic() < until:
            for found in zoe.nodes().items:
                if found.name == name:
                    why = f" ({found.message})" if found.message else ""
                    cores, size = found.capacity.cores_milli, found.capacity.memory_bytes
                    has = f": {cores / 1000:g} cores, {memory(size)}" if cores else ""
                    return tell(f"{name} is {found.status}{why}{has}")
            time.sleep(LOOK_SECONDS)
    return tell(f"{name} is added, and no master has looked at it yet: see `zoe node ls`")


@node.command()
def rm(
    context: typer.Context,
    name: NameArgument,
    force: Annotated[
        bool,
        typer.Option("--force", help="If it does not answer: what runs there counts as lost."),
    ] = False,
) -> None:
    """Take a machine that was added out for good, once nothing runs there."""
    with session(context).zoe() as zoe:
        zoe.remove_engine(name, force=force)
    tell(f"{name} goes: `zoe node ls` shows it until the master has let go of it")


@node.command()
def cordon(context: typer.Context, name: NameArgument, reason: ReasonOption = "") -> None:
    """Let nothing new start on a machine; what runs there stays."""
    _put(context, name, "cordoned", reason)


@node.command()
def drain(context: typer.Context, name: NameArgument, reason: ReasonOption = "") -> None:
    """Empty a machine: elastic instances leave at once, essential ones stay until they end."""
    _put(context, name, "draining", reason)


@node.command()
def uncordon(context: typer.Context, name: NameArgument) -> None:
    """Take a machine back into service."""
    _put(context, name, "ready", "")


def _put(context: typer.Context, name: str, status: str, reason: str) -> None:
    with session(context).zoe() as zoe:
        found = zoe.put_node(name, status, reason=reason)
    essential = sum(one.essential for one in found.instances)
    elastic = len(found.instances) - essential
    tell(
        f"{name} is {found.status}: {counted(essential, 'essential instance')}"
        f" and {counted(elastic, 'elastic one')} on it"
    )
