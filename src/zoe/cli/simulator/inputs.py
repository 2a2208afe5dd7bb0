"""What `zoe simulate` reads: workloads, scenarios, nodes, tables to draw from."""

import json
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import typer

from zoe.cli.document import NoSuchFile
from zoe.cli.output import memory
from zoe.model.cluster import Node
from zoe.model.errors import ZoeError
from zoe.model.units import duration_seconds
from zoe.model.zapp import Speedup
from zoe.sim.cluster import read_nodes
from zoe.sim.experiment import Experiment, Published, with_nodes
from zoe.sim.load import capacity_of
from zoe.sim.metrics import Metrics
from zoe.sim.simulation import Physics
from zoe.sim.variant import Variant, variants
from zoe.sim.workloads.formats import read_workload
from zoe.sim.workloads.paper import Tables, machines, tables_of, task_shapes
from zoe.sim.workloads.problems import (
    MAX_TEXT_BYTES,
    InputInvalid,
    Loaded,
    OnError,
    unreadable,
)
from zoe.sim.workloads.scenario import Scenario, read_scenario

PAPER = "paper"
"""The workload that is drawn instead of read."""
MAX_SEEDS = 1000
QUANTILES, SHAPES = "google2011_quantiles.json", "init-cluster-state.log"


_SEEDS = re.compile(r"([0-9]{1,9})(?:\.\.([0-9]{1,9}))?", re.ASCII)


class OptionInvalid(ZoeError):
    """The value of an option that cannot be understood."""


@dataclass(slots=True)
class Inputs:
    """What to simulate, and what people should know about it."""

    experiment: Experiment
    nodes: tuple[Node, ...]
    title: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    """What was wrong in the input, if that is skipped: the first of it."""
    skipped_count: int = 0
    happened: Metrics | None = None
    """What really happened, of a workload that is history."""


def read_bytes(path: Path) -> bytes:
    """Return the content of a file, or of stdin for ``-``. Raises NoSuchFile."""
    if str(path) == "-":
        return sys.stdin.buffer.read(MAX_TEXT_BYTES + 1)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TEXT_BYTES + 1)
    except OSError as error:
        raise NoSuchFile(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > MAX_TEXT_BYTES:
        raise unreadable(str(path), f"it is larger than {MAX_TEXT_BYTES:,} bytes")
    return data


def of_scenario(path: Path, workload: Path | None, kind: str, on_error: OnError) -> Inputs:
    """Return what a scenario says; ``workload`` is for one that names none."""
    text = read_bytes(path).decode("utf-8", errors="replace")
    scenario = read_scenario(text, str(path))
    if (scenario.jobs or scenario.workload) and workload is not None:
        raise typer.BadParameter("the scenario has its own", param_hint="--workload")
    jobs, inputs = scenario.jobs, None
    if not jobs:
        named = workload or (path.parent / scenario.workload if scenario.workload else None)
        if named is None:
            message = f'{path} has no jobs: give it [[jobs]] or workload = "FILE", or name one here'
            raise typer.BadParameter(message, param_hint="--workload")
        inputs = of_file(named, scenario.nodes, kind, on_error)
        assert not isinstance(inputs.experiment.workload, Published)
        jobs = inputs.experiment.workload
    experiment = Experiment(
        jobs, failures=scenario.failures, random_failures=scenario.random_failures
    )
    facts = {"scenario": str(path), "workload": f"{len(jobs):,} jobs"}
    found = Inputs(experiment, scenario.nodes, scenario.name or path.stem, facts)
    if inputs is not None:
        facts |= inputs.facts
        found.skipped, found.skipped_count = inputs.skipped, inputs.skipped_count
    facts |= _about_failures(scenario)
    return found


def of_file(path: Path, nodes: tuple[Node, ...], kind: str, on_error: OnError) -> Inputs:
    """Return the jobs of a file, to run on ``nodes``. Raises InputInvalid, NoSuchFile."""
    try:
        loaded = read_workload(read_bytes(path), str(path), kind=kind, on_error=on_error)
    except InputInvalid as error:
        if on_error == "refuse":
            error.hint = "`--on-error skip` goes on without single records that are wrong"
        raise
    return of_jobs(loaded, nodes, str(path))


def of_jobs(loaded: Loaded, nodes: tuple[Node, ...], name: str) -> Inputs:
    """Return jobs that were read, to run on ``nodes``. Raises WorkloadInvalid if there are none."""
    if not loaded.jobs:
        raise unreadable(name, f"there is nothing to simulate in it: {loaded.summary}")
    facts = {"workload": f"{name}: {loaded.summary}"}
    lines = tuple(str(problem) for problem in loaded.problems)
    return Inputs(Experiment(loaded.jobs), nodes, name, facts, lines, loaded.problem_count)


def of_paper(
    folder: Path | None, nodes: tuple[Node, ...] | None, scale: int, paper_exact: bool
) -> Inputs:
    """Return the published workload; its tables are in ``folder``. Raises NoSuchFile."""
    published = Published(tables(folder), scale, paper_exact)
    exact = "the published interpolation" if paper_exact else "the right interpolation"
    what = f"that of the published experiment, drawn for {5 * scale} machines with {exact}"
    return Inputs(
        Experiment(published),
        machines(scale) if nodes is None else nodes,
        "The published experiment",
        {"workload": what},
    )


def tables(folder: Path | None) -> Tables:
    """Return the quantile tables of a trace of Google. Raises NoSuchFile, InputInvalid."""
    if folder is None:
        raise NoSuchFile(
            "the published workload is drawn from tables that Zoe does not bring along",
            hint=f"--traces FOLDER (or the setting traces_dir) names a folder with {QUANTILES} "
            f"and {SHAPES}; docs/howto/simulate.md says where they come from",
        )
    for name in (QUANTILES, SHAPES):
        if not (folder / name).is_file():
            raise NoSuchFile(
                f"{folder} has no {name}",
                hint="docs/howto/simulate.md says what is in it and where it comes from",
            )
    try:
        google = json.loads(read_bytes(folder / QUANTILES))
    except (ValueError, RecursionError) as error:
        raise unreadable(str(folder / QUANTILES), f"it is no JSON: {error}") from None
    if not isinstance(google, Mapping):
        raise unreadable(str(folder / QUANTILES), "it is no JSON object of tables")
    lines = read_bytes(folder / SHAPES).decode("utf-8", errors="replace").splitlines()
    return tables_of(google, task_shapes(lines, str(folder / SHAPES)), str(folder / QUANTILES))


def nodes_of(text: str) -> tuple[Node, ...]:
    """Return the nodes of ``--nodes``. Raises ClusterInvalid."""
    return read_nodes(text, "--nodes")


def seeds_of(text: str) -> tuple[int, ...]:
    """Return the seeds that ``1,5`` or ``0..4`` mean. Raises OptionInvalid."""
    seeds: list[int] = []
    for part in text.split(","):
        match = _SEEDS.fullmatch(part.strip())
        if match is None:
            raise OptionInvalid(f"{part[:40]!r} is no seed: write 7, 1,5 or 0..4")
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if last < first:
            raise OptionInvalid(f"{part[:40]} has its end before its beginning")
        if len(seeds) + last - first >= MAX_SEEDS:
            raise OptionInvalid(f"{part[:40]} makes more than {MAX_SEEDS:,} seeds")
        seeds += range(first, last + 1)
    if len(set(seeds)) < len(seeds):
        raise OptionInvalid("a seed is named twice: it would count twice in the intervals")
    return tuple(seeds)


def variants_of(
    nodes: tuple[Node, ...],
    compared: str,
    added: str,
    *,
    patience: str,
    reclaim: bool | None,
    lost_seconds: float,
    **names: str,
) -> tuple[Variant, ...]:
    """Return what is compared, each also with the nodes ``added``.

    ``names`` are the generation, the policy and the backfill. Raises ZoeError for a wrong option.
    """
    words = [f"lost_seconds={lost_seconds}"]  # the scheduler believes what happens
    words += [f"{setting}={value}" for setting, value in names.items() if value]
    if reclaim is not None:
        words.append("reclaim" if reclaim else "no-reclaim")
    if patience:
        try:
            seconds = math.inf if patience == "never" else duration_seconds(patience)
        except ValueError as error:
            raise OptionInvalid(f"patience: {error}") from None
        words.append(f"patience_seconds={seconds}")
    found = variants(words, nodes, compared)
    if added:
        found = tuple(with_nodes(found, read_nodes(added, "--add-node"), added))
    return found


def adjusted(
    experiment: Experiment,
    *,
    drain_seconds: float,
    lost_seconds: float,
    saved_seconds: float | None,
    restarts: int,
    load_factor: float,
    parallel_fraction: float | None,
) -> Experiment:
    """Return an experiment with what options say about how instances behave, and the load."""
    if not (math.isfinite(load_factor) and load_factor > 0):
        raise typer.BadParameter(f"{load_factor:g} is not a number above 0", param_hint="--load")
    saved = math.inf if saved_seconds is None else saved_seconds
    physics = Physics(drain_seconds, lost_seconds, saved, restarts)
    if math.isinf(drain_seconds):
        raise typer.BadParameter("an instance that drains must end some day", param_hint="--drain")
    speedup = None if parallel_fraction is None else Speedup(parallel_fraction)
    return replace(experiment, physics=physics, load_factor=load_factor, speedup=speedup)


def described(found: Inputs) -> dict[str, str]:
    """Return the facts of :class:`Inputs` with the machines, and what is not as usual."""
    all = capacity_of(found.nodes)
    amounts = [f"{all.cores_milli / 1000:g} cores", memory(all.memory_bytes), f"{all.gpus} GPUs"]
    asked = (all.cores_milli, all.memory_bytes, all.gpus)
    there = ", ".join(text for text, amount in zip(amounts, asked, strict=True) if amount)
    facts = found.facts | {"machines": f"{len(found.nodes):,} with {there} together"}
    experiment, usual = found.experiment, Physics()
    for name, default in asdict(usual).items():
        value = getattr(experiment.physics, name)
        if value != default:
            facts[name.replace("_", " ")] = f"{value:g}"
    if experiment.load_factor != 1.0:
        facts["load"] = f"everything arrives {experiment.load_factor:g} times as fast"
    if experiment.speedup is not None:
        facts["speed-up"] = f"{experiment.speedup.parallel_fraction:g} of the work is parallel"
    return facts


def _about_failures(scenario: Scenario) -> dict[str, str]:
    facts = {}
    if scenario.failures:
        facts["failures"] = f"{len(scenario.failures):,} listed"
    if model := scenario.random_failures:
        facts["random failures"] = (
            f"a node works for {model.mean_up_seconds:g} s and is repaired in "
            f"{model.mean_repair_seconds:g} s, on average"
        )
    return facts
