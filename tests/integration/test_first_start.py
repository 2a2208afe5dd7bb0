"""What a new user is told by the first `zoe up`, what the logs are not, and what `rm` forgets."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack import Deployment, deployment_in, until

pytestmark = pytest.mark.timeout(300)  # many processes, on machines that may be busy


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    with deployment_in(tmp_path) as found:
        yield found


def test_a_first_start_in_the_background_shows_the_token_once(deployment: Deployment) -> None:
    said = deployment.zoe("up", "--detach")
    kept = json.loads((deployment.data_dir / "credentials.json").read_text())
    assert f"Zoe is ready at {kept['url']}\n" in said
    assert f"Your access token, shown only now: {kept['token']}\n" in said
    assert f"zoe --data-dir {deployment.data_dir} run hello" in said
    for log in (deployment.data_dir / "logs").iterdir():
        assert kept["token"] not in log.read_text(), log
    assert not (deployment.data_dir / "token").exists()
    again = deployment.zoe("up", "--detach", code=1)
    assert again.startswith("error: Zoe is already running at")
    deployment.zoe("run", "hello", "--name", "first")
    deployment.zoe("run", "hello", "--name", "second", "--detach", "--", "sleep", "600")
    outputs = [deployment.data_dir / "logs" / str(id) for id in (1, 2)]
    until(lambda: all(folder.exists() for folder in outputs))
    deployment.zoe("rm", "first", "second")
    until(lambda: not any(folder.exists() for folder in outputs))
    deployment.zoe("down")
    assert "token" not in deployment.zoe("up", "--detach")
