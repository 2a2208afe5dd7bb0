"""The ids of GPUs as an administrator writes them down, with commas between."""

import re

from zoe.model.limits import MAX_GPUS


def parse_gpus(text: str) -> tuple[str, ...]:
    """Return the GPUs of ``0,1``; none for "none" or nothing. Raises ValueError, in words."""
    gpus = () if text in ("", "none") else tuple(part.strip() for part in text.split(","))
    if not all(re.fullmatch(r"[A-Za-z0-9_./:-]{1,64}", gpu) for gpu in gpus):
        raise ValueError("name the GPUs with commas between, as 0,1 or GPU-8f6e; or say none")
    if len(set(gpus)) < len(gpus):
        raise ValueError("a GPU is named twice")
    if len(gpus) > MAX_GPUS:
        raise ValueError(f"at most {MAX_GPUS} GPUs can be given away")
    return gpus
