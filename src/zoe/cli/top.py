"""The command that says what is really used: of the machines, and by whom."""

from typing import TYPE_CHECKING, Annotated

import typer

from zoe.cli.executions import PATIENCE_SECONDS
from zoe.cli.output import (
    Format,
    JsonOption,
    OutputOption,
    columns,
    lasting,
    look,
    memory,
    show,
)
from zoe.cli.session import session

if TYPE_CHECKING:
    from zoe.model.rest_cluster import NodeView
    from zoe.model.rest_use import InstanceUseView, TopView

WATCH_SECONDS = 2.0
"""Pause between two looks; the numbers change only as often as is sampled."""
LIST_MAX = 500

app = typer.Typer()


@app.command()
def top(
    context: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again and again.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=LIST_MAX, help="At most so many.")] = 30,
    output: OutputOption = Format.TABLE,
    as_json: JsonOption = False,
) -> None:
    """Say what is really used: of the machines, then by instances, most memory first."""
    with session(context).zoe(PATIENCE_SECONDS if watch else 1.0) as zoe:
        look(
            lambda: zoe.top(limit=limit),
            lambda found: _show(found, output, as_json),
            pause=WATCH_SECONDS if watch else None,
            clears=output is Format.TABLE and not as_json,
        )


def _show(found: "TopView", output: Format, as_json: bool) -> None:
    names = (each.id for each in found.instances)
    show(found, output, as_json, lambda: _top(found), lambda: names)


def _top(found: "TopView") -> str:
    if not found.sample_seconds:
        return "Nobody knows what is used: the master does not answer, or samples nothing."
    parts = []
    if found.nodes:
        of_nodes = ("NODE", "CORES", "MEMORY", "RESERVED", "WAITS FOR MEMORY", "FOR CORES", "")
        parts.append(columns(of_nodes, map(_node, found.nodes)))
    headings = ("INSTANCE", "EXECUTION", "NODE", "CORES", "MEMORY", "PEAK", "WORKED", "NET", "DISK")
    if found.instances:
        parts.append(columns(headings, map(_instance, found.instances)))
    else:
        parts.append("No instance runs, or none was sampled yet.")
    return "\n\n".join(parts)


def _node(node: "NodeView") -> tuple[object, ...]:
    use, capacity = node.use, node.capacity.cores_milli / 1000
    reserved = (
        f"{node.reserved.cores_milli / 1000:g} cores, {memory(node.reserved.memory_bytes)}"
        f" of {memory(node.capacity.memory_bytes)}"
    )
    if use is None:
        return (node.name, "-", "-", reserved, "-", "-", node.pressure or node.status)
    return (
        node.name,
        f"{use.cores_milli / 1000:.1f} of {capacity:g}",
        f"{memory(use.memory_bytes)} of {memory(use.memory_total_bytes)}",
        reserved,
        _percent(use.memory_stall),
        _percent(use.cpu_stall),
        node.pressure or node.status,
    )


def _instance(use: "InstanceUseView") -> tuple[object, ...]:
    return (
        use.id,
        use.execution_name,
        use.node,
        cores_used(use),
        memory_used(use),
        memory(use.peak_bytes),
        lasting(use.core_seconds),
        "-" if use.network_bytes is None else memory(use.network_bytes),
        "-" if use.disk_bytes is None else memory(use.disk_bytes),
    )


def cores_used(use: "InstanceUseView") -> str:
    """Say how many cores an instance keeps busy, of those that it has reserved."""
    return f"{use.cores_milli / 1000:.1f} of {use.reserved.cores_milli / 1000:g}"


def memory_used(use: "InstanceUseView") -> str:
    """Say how much memory an instance has, of what it has reserved, if it has."""
    if not use.reserved.memory_bytes:
        return memory(use.memory_bytes)
    return f"{memory(use.memory_bytes)} of {memory(use.reserved.memory_bytes)}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0f}%"
