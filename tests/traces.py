"""Workloads from outside that tests and benchmarks use where they are there."""

import os
from pathlib import Path

TRACES = Path(os.environ.get("TRACES") or Path(__file__).parents[2] / "shared" / "traces")
"""``make bench TRACES=folder`` names another folder."""

KTH = TRACES / "KTH-SP2-1996-2.1-cln.swf.gz"
BATSIM = TRACES / "batsim"
