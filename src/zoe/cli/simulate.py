"""The command `zoe simulate`: what a cluster would do with a workload."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoe.cli.output import tell, write
from zoe.cli.session import Session, session

if TYPE_CHECKING:
    from zoe.cli.simulator.inputs import Inputs
    from zoe.cli.simulator.runs import Plan
    from zoe.model.cluster import Node

AS_IT_WAS = "as it was"
"""What reports call that which really happened."""

app = typer.Typer()


class OnError(StrEnum):
    """What becomes of records of a workload that are wrong."""

    REFUSE = "refuse"
    SKIP = "skip"


@app.command()
def simulate(
    context: typer.Context,
    workload: Annotated[
        str,
        typer.Option(metavar="FILE|paper", help="Executions: .swf, .json, .csv, .parquet, .gz."),
    ] = "",
    format_: Annotated[
        str, typer.Option("--format", help="What the file is, if its name does not say it.")
    ] = "",
    scenario: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Nodes, failures and executions.")
    ] = None,
    from_history: Annotated[
        str, typer.Option(metavar="last-30d", help="Executions of this deployment, as they were.")
    ] = "",
    nodes: Annotated[
        str, typer.Option(metavar="100x1c|25x32c128g,4x64c256g8g", help="The machines.")
    ] = "",
    add_node: Annotated[
        str, typer.Option(metavar="4x32c128g", help="Simulate with these nodes more, too.")
    ] = "",
    generation: Annotated[str, typer.Option(help="flexible, published, malleable or rigid.")] = "",
    policy: Annotated[str, typer.Option(help="Who goes first: fifo, sjf, size3d, ...")] = "",
    backfill: Annotated[str, typer.Option(help="Who may overtake: easy or none.")] = "",
    reclaim: Annotated[
        bool | None, typer.Option(help="Take elastic instances back for essential ones.")
    ] = None,
    patience: Annotated[
        str, typer.Option(metavar="7d|never", help="Who has waited for longer goes first.")
    ] = "",
    compare: Annotated[
        str,
        typer.Option(metavar="A,B", help="Ways of sharing: fifo,sjf or rigid+sjf,flexible+sjf."),
    ] = "",
    seeds: Annotated[
        str, typer.Option("--seeds", "--seed", metavar="N,N|N..M", help="What chance draws from.")
    ] = "0",
    load: Annotated[
        float, typer.Option(metavar="FACTOR", help="Let executions arrive so much faster.")
    ] = 1.0,
    scale: Annotated[
        int, typer.Option(min=1, max=1000, help="paper: executions for 5 times so many machines.")
    ] = 5,
    paper_exact: Annotated[
        bool, typer.Option("--paper-exact", help="paper: draw with the published interpolation.")
    ] = False,
    traces: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="paper: where its tables are.")
    ] = None,
    drain: Annotated[
        float, typer.Option(min=0, help="Seconds that an instance still holds its room.")
    ] = 0.0,
    lost_work: Annotated[
        float, typer.Option(min=0, help="Seconds of work lost with an instance, at most.")
    ] = 0.0,
    saved_work: Annotated[
        float | None,
        typer.Option(min=0, help="Work is saved every so many seconds; else a failure loses all."),
    ] = None,
    restarts: Annotated[
        int, typer.Option(min=0, help="How often an execution may lose essential instances.")
    ] = 3,
    speedup: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Part of the work that runs in parallel (Amdahl)."),
    ] = None,
    on_error: Annotated[
        OnError, typer.Option(help="What to do with records that are wrong.")
    ] = OnError.REFUSE,
    jobs: Annotated[int, typer.Option(min=0, max=256, help="Processes; 0: one for each core.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Answer with JSON.")] = False,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all figures as CSV; - is stdout.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write a page that needs nothing else.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the drawings as SVG.")
    ] = None,
) -> None:
    """Say what a cluster would do with a workload, with the scheduler that ships.

    Times are virtual: a year takes seconds. With several seeds, figures are means with a 95 %
    interval. docs/howto/simulate.md has examples.
    """
    from zoe.cli.simulator import inputs
    from zoe.cli.simulator.runs import Plan

    if as_json and str(csv) == "-":
        raise typer.BadParameter("stdout is taken by --json", param_hint="--csv")
    if from_history and (workload or scenario is not None):
        raise typer.BadParameter(
            "the history is a workload of its own", param_hint="--from-history"
        )
    current = session(context)
    with usage("--nodes"):
        machines = inputs.nodes_of(nodes) if nodes else None
    if from_history:
        found = _history(current, from_history, machines, on_error)
    elif workload == inputs.PAPER and scenario is None:
        folder = traces or current.settings.traces_dir
        found = inputs.of_paper(folder, machines, scale, paper_exact)
    else:
        found = _inputs(workload, format_, scenario, machines, on_error)
    found.experiment = inputs.adjusted(
        found.experiment,
        drain_seconds=drain,
        lost_seconds=lost_work,
        saved_seconds=saved_work,
        restarts=restarts,
        load_factor=load,
        parallel_fraction=speedup,
    )
    found.facts = inputs.described(found)
    with usage("the way of sharing"):
        compared = inputs.variants_of(
            found.nodes,
            compare,
            add_node,
            patience=patience,
            reclaim=reclaim,
            lost_seconds=lost_work,
            generation=generation,
            policy=policy,
            backfill=backfill,
        )
    with usage("--seeds"):
        chosen = inputs.seeds_of(seeds)
    if len(chosen) > 1 and not found.experiment.is_drawn:
        tell("all seeds give the same: nothing here is drawn by chance, so one is simulated")
        chosen = chosen[:1]
    plan = Plan(found.experiment, compared, chosen, bool(report or plots))
    _answer(plan, jobs, found, as_json, csv, report, plots)


def _history(
    current: Session, text: str, nodes: "tuple[Node, ...] | None", on_error: OnError
) -> "Inputs":
    from zoe.cli.simulator import history

    with usage("--from-history"):
        history.length(text)
    return history.of_history(current, text, nodes, on_error.value)


def _inputs(
    workload: str,
    kind: str,
    scenario: Path | None,
    nodes: "tuple[Node, ...] | None",
    on_error: OnError,
) -> "Inputs":
    from zoe.cli.simulator import inputs

    if scenario is not None:
        if nodes is not None:
            raise typer.BadParameter("the scenario has its nodes", param_hint="--nodes")
        path = Path(workload) if workload else None
        return inputs.of_scenario(scenario, path, kind, on_error.value)
    if not workload:
        raise typer.BadParameter(
            "what to simulate? --workload FILE, --workload paper, --scenario or --from-history",
            param_hint="--workload",
        )
    if nodes is None:
        raise typer.BadParameter("say the machines, such as 25x32c128g", param_hint="--nodes")
    return inputs.of_file(Path(workload), nodes, kind, on_error.value)


def _answer(
    plan: "Plan",
    jobs: int,
    found: "Inputs",
    as_json: bool,
    csv: Path | None,
    report: Path | None,
    plots: Path | None,
) -> None:
    from zoe.cli.simulator import answer
    from zoe.cli.simulator.runs import run_all
    from zoe.sim.report import Run, to_csv

    for name, value in found.facts.items():
        tell(f"{name}: {value}")
    for line in found.skipped:
        tell(f"  {line}")
    with progress(len(plan.tasks)) as done:
        runs, results = run_all(plan, jobs or os.cpu_count() or 1, done)
    if found.happened is not None:  # beside the first seed: they are compared seed by seed
        runs = [Run(AS_IT_WAS, plan.seeds[0], found.happened), *runs]
    if report is not None:
        answer.write_file(report, answer.report(runs, results, found))
        tell(f"the report is in {report}")
    if plots is not None:
        tell(f"{len(answer.write_plots(plots, results))} drawings are in {plots}")
    if csv is not None and str(csv) != "-":
        answer.write_file(csv, to_csv(runs))
        tell(f"the figures are in {csv}")
    if as_json:
        write(answer.as_json(runs, found))
    elif str(csv) == "-":
        write(to_csv(runs).replace("\r\n", "\n").rstrip("\n"))
    else:
        write(answer.tables(runs))


@contextmanager
def usage(option: str) -> Iterator[None]:
    """Turn an error in the value of ``option`` into one of usage."""
    from zoe.model.errors import ZoeError

    try:
        yield
    except ZoeError as error:
        said = f"{error} ({error.hint})" if error.hint else str(error)
        raise typer.BadParameter(said, param_hint=option) from None


@contextmanager
def progress(count: int) -> Iterator[Callable[[], object]]:
    """Show a bar on stderr, if somebody looks; what it gives is called after each simulation."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    shown = (TextColumn("simulating"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*shown, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("simulating", total=count)
        yield lambda: bar.advance(task)
