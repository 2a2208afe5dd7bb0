"""Where the output of an instance is: one file a stream and attempt, under one folder.

``<logs folder>/<execution id>/<framework>.<service>.<ordinal>.<attempt>.<stream>``
"""

from pathlib import PurePath
from typing import Literal

Stream = Literal["stdout", "stderr"]


def log_folder(logs_dir: PurePath, execution_id: int | str) -> PurePath:
    """Return the folder that holds the output of an execution."""
    return logs_dir / str(execution_id)


def log_path(logs_dir: PurePath, instance_id: str, attempt: int, stream: Stream) -> PurePath:
    """Return the file that holds ``stream`` of this attempt; ids are checked by the model."""
    execution_id, service, ordinal = instance_id.split("/")
    return log_folder(logs_dir, execution_id) / f"{service}.{ordinal}.{attempt}.{stream}"
