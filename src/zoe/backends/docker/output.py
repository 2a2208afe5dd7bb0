"""Copies what a container writes to the files of the logs, each byte once.

The engine keeps the whole output, so the sizes of the files say how far the copy has come: a later
master skips as much and goes on. Who copies holds a lock. A master that leads need not wait for it:
who holds it slept while its lease ended, and writes nothing when it wakes up.
"""

import fcntl
from pathlib import Path

from zoe.backends.docker.engine import Engine
from zoe.backends.docker.names import Key
from zoe.backends.fence import Fence
from zoe.model.logs import log_path

_STDOUT, _STDERR = 1, 2


class Output:
    """The two files of one attempt."""

    def __init__(self, logs_dir: Path, key: Key, fence: Fence) -> None:
        self._fence = fence
        self._paths = {
            _STDOUT: Path(log_path(logs_dir, *key, "stdout")),
            _STDERR: Path(log_path(logs_dir, *key, "stderr")),
        }

    async def copy(self, engine: Engine, container: str, *, follow: bool) -> None:
        """Append what is not there yet; with ``follow``, until the container ends.

        Raises OSError when it cannot be written (BlockingIOError: another one copies it), Fenced,
        and what the engine raises.
        """
        for path in self._paths.values():
            path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        files = {stream: path.open("ab", buffering=0) for stream, path in self._paths.items()}
        try:
            try:
                fcntl.flock(files[_STDOUT], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not self._fence.epoch:
                    raise
            skip = {stream: path.stat().st_size for stream, path in self._paths.items()}
            async with engine.output(container, follow=follow) as parts:
                async for stream, part in parts:
                    known = min(skip[stream], len(part))
                    skip[stream] -= known
                    if fresh := part[known:]:
                        self._fence.check()
                        files[stream].write(fresh)
        finally:
            for file in files.values():
                file.close()
