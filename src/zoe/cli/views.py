"""Commands that look: ps, show, why, queue, logs, events."""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from zoe.cli.executions import PATIENCE_SECONDS, ExecutionArgument
from zoe.cli.output import (
    Format,
    JsonOption,
    OutputOption,
    ago,
    clock,
    columns,
    counted,
    expected,
    lasting,
    look,
    memory,
    near,
    plain,
    printable,
    show,
    tell,
    unknown,
    write,
)
from zoe.cli.session import Session, session
from zoe.cli.top import cores_used, memory_used

if TYPE_CHECKING:
    from zoe.client import Zoe
    from zoe.model.rest import Page
    from zoe.model.rest_executions import (
        ExecutionDetail,
        ExecutionSummary,
        HistoryView,
        InstanceView,
        WhyView,
    )
    from zoe.model.rest_use import InstanceUseView

WATCH_SECONDS = 1.0
LIST_MAX = 500
EVENTS_MAX = 1000
LOSSES_SHOWN = 10
"""How many of the last times that something was taken from an execution are told."""

app = typer.Typer()


@app.command()
def ps(
    context: typer.Context,
    all_: Annotated[bool, typer.Option("--all", "-a", help="Those that have ended, too.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again every second.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=LIST_MAX, help="At most so many.")] = 100,
    output: OutputOption = Format.TABLE,
    as_json: JsonOption = False,
) -> None:
    """List executions, the newest first."""
    with session(context).zoe(PATIENCE_SECONDS if watch else 1.0) as zoe:
        look(
            lambda: zoe.executions(all=all_, limit=limit),
            lambda page: _list(page, output, as_json),
            pause=WATCH_SECONDS if watch else None,
            clears=output is Format.TABLE and not as_json,
        )


def _list(page: "Page[ExecutionSummary]", output: Format, as_json: bool) -> None:
    show(
        page.items,
        output,
        as_json,
        lambda: _executions(page.items),
        lambda: (item.name for item in page.items),
    )
    if page.next_cursor:
        tell(f"(only the newest {len(page.items)}; --limit shows more)")


def _executions(items: "list[ExecutionSummary]") -> str:
    rows = (
        (item.id, item.name, item.application, item.status, ago(item.submitted_at), _remark(item))
        for item in items
    )
    return columns(("ID", "NAME", "APPLICATION", "STATUS", "AGE", ""), rows)


def _remark(item: "ExecutionSummary") -> str:
    if item.end:
        return item.end.message
    place = f"place {item.queue_position}" if item.queue_position else ""
    if place and item.forecast and item.forecast.p50:
        place += f", expected {near(item.forecast.p50)}"
    reason = item.reasons[0].message if item.reasons else ""
    return ": ".join(part for part in (place, reason) if part) or " "


@app.command("show")
def show_(
    context: typer.Context,
    name: ExecutionArgument,
    source: Annotated[
        bool, typer.Option("--source", help="The application description, as submitted.")
    ] = False,
    output: OutputOption = Format.TABLE,
    as_json: JsonOption = False,
) -> None:
    """Show one execution: its state, services, instances and endpoints."""
    with session(context).zoe() as zoe:
        if source:
            write(zoe.source(name))
            return
        found = zoe.show(name)
        uses = [] if as_json or output is not Format.TABLE else zoe.execution_use(name).instances
    show(found, output, as_json, lambda: _detail(found, uses), lambda: [found.name])


def _detail(found: "ExecutionDetail", uses: "list[InstanceUseView]") -> str:
    fields = [
        ("name", found.name),
        ("id", found.id),
        ("application", f"{found.application} ({found.kind})"),
        ("owner", f"{found.owner} (for {found.team})" if found.team else found.owner),
        ("status", f"{found.status}: {found.end.message}" if found.end else found.status),
        ("submitted", f"{ago(found.submitted_at)} ago"),
    ]
    if found.parameters:
        chosen = (f"{name}={value}" for name, value in found.parameters.items())
        fields.append(("parameters", " ".join(chosen)))
    if found.queue_position:
        fields.append(("queue", f"place {found.queue_position}"))
    fields += [("waits", reason.message) for reason in found.reasons]
    if found.forecast:
        fields.append(("starts", expected(found.forecast)))
    text = ["\n".join(f"{name:<12} {printable(value)}" for name, value in fields)]
    services = [
        (
            service.name,
            service.essential,
            f"{service.elastic_min}..{service.elastic}" if service.elastic_min else service.elastic,
            _counts(service.instances),
        )
        for framework in found.frameworks
        for service in framework.services
    ]
    text.append(columns(("SERVICE", "ESSENTIAL", "ELASTIC", "INSTANCES"), services))
    if found.instances:
        known = {(use.id, use.attempt): use for use in uses}
        with_gpus = any(instance.gpus for instance in found.instances)
        instances = (
            (
                instance.id,
                instance.status,
                "ready" if instance.ready else "",
                instance.node,
                instance.address,
                *([",".join(instance.gpus)] if with_gpus else []),
                *(_used(instance, known) if known else []),
                ago(instance.started_at),
                instance.exit.message if instance.exit else instance.message,
            )
            for instance in found.instances
        )
        gpus = ["GPUS"] if with_gpus else []
        used = ["CORES", "MEMORY", "PEAK", "WORKED"] if known else []
        last = ("AGE", "MESSAGE")
        headings = ("INSTANCE", "STATUS", "READY", "NODE", "ADDRESS", *gpus, *used, *last)
        text.append(columns(headings, instances))
    if found.endpoints:
        endpoints = ((end.name, end.instance, end.url) for end in found.endpoints)
        text.append(columns(("ENDPOINT", "INSTANCE", "ADDRESS"), endpoints))
    return "\n\n".join(text)


def _used(
    instance: "InstanceView", known: "dict[tuple[str, int], InstanceUseView]"
) -> tuple[str, str, str, str]:
    """Say what an instance uses, and what one that has stopped has used."""
    use = known.get((instance.id, instance.attempt))
    if use is None:
        return ("", "", "", "")
    in_all = (memory(use.peak_bytes), lasting(use.core_seconds))
    return ("", "", *in_all) if instance.exit else (cores_used(use), memory_used(use), *in_all)


def _counts(instances: "dict[object, int] | object") -> str:
    assert isinstance(instances, dict)
    return ", ".join(f"{count} {status}" for status, count in instances.items())


@app.command()
def why(
    context: typer.Context,
    name: ExecutionArgument,
    output: OutputOption = Format.TABLE,
    as_json: JsonOption = False,
) -> None:
    """Say why an execution waits and until when, or what it does, and who took room from it."""
    with session(context).zoe() as zoe:
        found = zoe.why(name)
    show(found, output, as_json, lambda: _why(found), lambda: [found.name])


def _why(found: "WhyView") -> str:
    others = [f"  - {reason.message}" for reason in found.reasons]
    lines = [found.summary, *(line for line in others if line[4:] not in found.summary)]
    if found.forecast:
        lines.append(f"Start: {expected(found.forecast)}.")
    for loss in found.losses[-LOSSES_SHOWN:]:
        lines.append(
            f"{clock(loss.at)}  {counted(loss.instances, 'elastic instance')} of {loss.service} "
            f"had to go (rule {loss.rule}): {loss.message}"
        )
    return "\n".join(lines)


@app.command()
def queue(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=LIST_MAX, help="At most so many.")] = 100,
    output: OutputOption = Format.TABLE,
    as_json: JsonOption = False,
) -> None:
    """List the executions that wait: their places, when they are expected to start, and why."""
    with session(context).zoe() as zoe:
        found = zoe.queue(limit=limit).items
    show(found, output, as_json, lambda: _queue(found), lambda: (item.name for item in found))


def _queue(items: "list[ExecutionSummary]") -> str:
    rows = (
        (
            item.queue_position or "-",
            item.id,
            item.name,
            item.owner,
            ago(item.submitted_at),
            near(item.forecast.p50) if item.forecast and item.forecast.p50 else "-",
            near(item.forecast.p90) if item.forecast and item.forecast.p90 else "-",
            _reason(item),
        )
        for item in items
    )
    headings = ("PLACE", "ID", "NAME", "OWNER", "WAITS", "EXPECTED", "9 IN 10 BY", "WHY")
    return columns(headings, rows)


def _reason(item: "ExecutionSummary") -> str:
    said = [reason.message for reason in item.reasons[:1]]
    if item.forecast:
        said.append(unknown(item.forecast))
    return "; ".join(filter(None, said))


@app.command()
def logs(
    context: typer.Context,
    name: ExecutionArgument,
    service: Annotated[
        str, typer.Argument(help="Only of this framework.service, or framework.service.0.")
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it ends.")] = False,
    tail: Annotated[
        int | None, typer.Option(min=0, help="Only the last lines of each instance.")
    ] = None,
    stream: Annotated[str, typer.Option(help="stdout or stderr; both if not given.")] = "",
    bare: Annotated[bool, typer.Option("--bare", help="Without the names of instances.")] = False,
) -> None:
    """Print the output of an execution."""
    from zoe.cli.follow import Lines

    current, lines = session(context), Lines(prefixed=not bare)
    if follow:
        try:
            asyncio.run(_follow_logs(current, name, service, stream, tail, lines))
        except KeyboardInterrupt:
            raise typer.Exit(0) from None
        return
    with current.zoe() as zoe:
        for piece in zoe.logs(name, service=service, stream=stream, tail=tail).items:
            lines.add(piece)
    lines.end()


async def _follow_logs(
    current: Session, name: str, service: str, stream: str, tail: int | None, lines: "object"
) -> None:
    from zoe.cli.follow import Lines, show_logs

    assert isinstance(lines, Lines)
    async with current.async_zoe(PATIENCE_SECONDS) as zoe:
        pieces = zoe.follow_logs(name, service=service, stream=stream, tail=tail)
        await show_logs(pieces, lines)


@app.command()
def events(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Of one execution.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they come.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=EVENTS_MAX, help="At most so many.")] = 1000,
    output: OutputOption = Format.TABLE,
    as_json: JsonOption = False,
) -> None:
    """List what has happened, the newest last."""
    fmt = Format.JSON if as_json else output
    with session(context).zoe(PATIENCE_SECONDS if follow else 1.0) as zoe:
        if follow:
            _follow_events(zoe, name, fmt)
            return
        found = zoe.events(name, limit=limit, newest=True).items
    show(found, fmt, False, lambda: _history(found), lambda: (entry.id for entry in found))
    if len(found) == limit:
        tell(f"(only the newest {limit}; -f shows all, and goes on)")


def _follow_events(zoe: "Zoe", name: str | None, output: Format) -> None:
    import json

    from zoe.model.rest_executions import HistoryView

    try:
        for entry in zoe.follow_events(name):
            if isinstance(entry, HistoryView):
                as_line = output in (Format.JSON, Format.YAML)
                write(json.dumps(plain(entry)) if as_line else "  ".join(_entry(entry)))
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _history(entries: "Iterable[HistoryView]") -> str:
    return columns(("TIME", "EXECUTION", "WHAT", ""), map(_entry, entries))


def _entry(entry: "HistoryView") -> tuple[str, str, str, str]:
    what = entry.detail.get("id") or entry.detail.get("status") or entry.kind
    status = f" {entry.detail.get('status')}" if entry.kind == "instance" else ""
    return (
        clock(entry.at),
        str(entry.execution_id),
        printable(f"{what}{status}"),
        printable(entry.message),
    )
