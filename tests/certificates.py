"""Certificates for tests, made by the commands of docs/howto/several-docker-engines.md."""

import re
import subprocess
from pathlib import Path

HOWTO = Path(__file__).parents[1] / "docs/howto/several-docker-engines.md"


def make_certificates(folder: Path, address: str) -> None:
    """Make an authority, and certificates of an engine at ``address`` and of its clients."""
    folder.mkdir(parents=True)
    blocks = re.findall(r"^```sh\n(.*?)^```", HOWTO.read_text(), re.MULTILINE | re.DOTALL)
    (script,) = [block for block in blocks if "openssl" in block]
    assert "10.0.0.5" in script
    subprocess.run(
        ["bash", "-euc", script.replace("10.0.0.5", address)],
        cwd=folder,
        check=True,
        capture_output=True,
    )
