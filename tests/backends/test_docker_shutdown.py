"""What `zoe down` says of engines that do not answer."""

from pathlib import Path

import pytest

from zoe.backends.docker.shutdown import shut_down
from zoe.model.engines import parse_engines
from zoe.model.errors import ZoeError


async def test_engines_that_do_not_answer_are_named(tmp_path: Path) -> None:
    engines = parse_engines(f"b unix://{tmp_path}/b.sock; a unix://{tmp_path}/a.sock")
    with pytest.raises(ZoeError, match=r"^a, b cannot be reached") as raised:
        await shut_down("test", tmp_path / "data", engines, 0.1)
    assert "once it answers" in raised.value.hint
