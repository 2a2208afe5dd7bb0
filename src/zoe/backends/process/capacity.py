"""What this machine has to give away: what this process may use of its cores, memory and GPUs."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from zoe.model.resources import CORE, Resources


def detect_capacity(cores: float = 0, memory_bytes: int = 0, gpus: int = 0) -> Resources:
    """Return what is configured; for a zero, all cores and nine tenths of the memory."""
    return Resources(
        cores_milli=round(cores * CORE) or len(os.sched_getaffinity(0)) * CORE,
        memory_bytes=memory_bytes or _memory_bytes() // 10 * 9,
        gpus=gpus,
    )


def detect_gpus(devices: Path = Path("/dev")) -> list[str]:
    """Return the ids of the NVIDIA GPUs that this process may see, as CUDA numbers them."""
    found = [path for path in devices.glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name)]
    return [str(number) for number in range(len(found))]


def gpu_variables(gpus: Sequence[str], *, node_has_any: bool) -> Mapping[str, str]:
    """Return the variables by which programs find their GPUs, or none of those of others.

    ROCR_VISIBLE_DEVICES is not among them: programs for AMD read CUDA_VISIBLE_DEVICES, too, and
    count only what the other one has left, so that with both they would find the wrong ones.
    """
    if not node_has_any:
        return {}
    ids = ",".join(gpus)
    return {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # a number means the same device in every program
        "CUDA_VISIBLE_DEVICES": ids,
        "NVIDIA_VISIBLE_DEVICES": ids,
    }


def _memory_bytes() -> int:
    """Return the memory of the machine, or of the container that this runs in."""
    amounts = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            text = Path("/sys/fs/cgroup", name).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            amounts.append(int(text))
    return min(amounts)
