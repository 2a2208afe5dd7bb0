"""Runs AccaSim on a log; prints as JSON how long it simulated, and the mean wait that it found.

``python accasim_peer.py fifo|easy LOG.swf FOLDER PROCESSORS``, with a Python that has AccaSim: no
part of Zoe is needed. What it writes, it writes into FOLDER.
"""

import collections
import collections.abc
import json
import re
import sys
import time
from pathlib import Path

# AccaSim 1.1.3 looks for them where they were until Python 3.9.
collections.Mapping = collections.abc.Mapping
collections.MutableMapping = collections.abc.MutableMapping


def main() -> None:
    """Simulate the log that the command line names."""
    from accasim.base.allocator_class import FirstFit
    from accasim.base.scheduler_class import EASYBackfilling, FirstInFirstOut
    from accasim.base.simulator_class import Simulator

    rule = {"fifo": FirstInFirstOut, "easy": EASYBackfilling}[sys.argv[1]]
    log, folder = sys.argv[2], Path(sys.argv[3])
    system = {
        "groups": {"node": {"core": 1}},
        "resources": {"node": int(sys.argv[4])},
        "equivalence": {"processor": {"core": 1}},
        "start_time": 0,
    }
    (folder / "system.json").write_text(json.dumps(system))
    began = time.process_time()
    simulator = Simulator(
        log,
        str(folder / "system.json"),
        rule(FirstFit()),
        scheduling_output=False,
        show_statistics=False,
        RESULTS_FOLDER_PATH=str(folder),
    )
    simulator.start_simulation()
    seconds = time.process_time() - began
    (written,) = folder.rglob("stats-*")
    said = written.read_text()
    found = {
        name: float(re.search(rf"{text}: ([0-9.]+)", said)[1])
        for name, text in (("jobs", "Total jobs"), ("mean_wait", "Avg. waiting times"))
    }
    sys.stdout.write(json.dumps({"seconds": seconds, **found}))


main()
