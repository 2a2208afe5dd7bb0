"""The agent's log: lines with their time in one file, which is set aside when it is large."""

import os
import time
from pathlib import Path

FILE_MAX_BYTES = 1024 * 1024


class Journal:
    """A log of two files at most: the present one and the one before (``.1``)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def take_stderr(self) -> None:
        """Let what the program itself complains about go to the log too, and nothing elsewhere."""
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1):
            os.dup2(null, descriptor)
        os.close(null)
        self._reopen()

    def write(self, line: str) -> None:
        """Add a line."""
        try:
            if os.fstat(2).st_size > FILE_MAX_BYTES:
                os.replace(self._path, self._path.with_suffix(".log.1"))
                self._reopen()
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            os.write(2, f"{stamp} agent {line}\n".encode())
        except OSError:
            pass  # a full disk must not end the instances

    def _reopen(self) -> None:
        log = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 2)
        os.close(log)
