"""Workloads from outside that tests and benchmarks use where they are there."""

import json
import os
from pathlib import Path

from zoe.sim.workloads.paper import Tables, tables_of, task_shapes

TRACES = Path(os.environ.get("TRACES") or Path(__file__).parents[2] / "shared" / "traces")
"""``make bench TRACES=folder`` names another folder."""

KTH = TRACES / "KTH-SP2-1996-2.1-cln.swf.gz"
BATSIM = TRACES / "batsim"


def published_tables() -> Tables:
    """The tables of the published workload."""
    lines = (TRACES / "init-cluster-state.log").read_text().splitlines()
    google = json.loads((TRACES / "google2011_quantiles.json").read_text())
    return tables_of(google, task_shapes(lines))
