"""What the back-end asks of an engine for the volumes of a service."""

from pathlib import Path

import pytest

from zoe.backends.base import Refused
from zoe.backends.docker.config import guarded_by, mounts_config
from zoe.model.engines import EngineSpec
from zoe.model.volumes import VolumeSpec
from zoe.model.zapp import Service, VolumeMount


def test_a_link_to_what_zoe_keeps_or_uses_is_not_mounted(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "also").symlink_to(tmp_path / "data")
    (tmp_path / "engine").mkdir()
    (tmp_path / "other").mkdir()
    engine = EngineSpec("lab", f"unix://{tmp_path}/engine/docker.sock")
    guarded = guarded_by(tmp_path / "also", [engine, EngineSpec("far", "tcp://far:2376")])
    service = Service("s", volumes=(VolumeMount("link", "/x"),))

    def mounted(where: str, *, unsafe: bool = False) -> object:
        link = tmp_path / "link"
        link.unlink(missing_ok=True)
        link.symlink_to(tmp_path / where)
        return mounts_config(
            service, {"link": VolumeSpec("link", str(link), unsafe=unsafe)}, guarded
        )

    for closed in ("data", "data/keys", "engine", "engine/docker.sock"):
        with pytest.raises(Refused, match=f"leads to {tmp_path}/{closed}, which would open"):
            mounted(closed)
        assert mounted(closed, unsafe=True), "it is meant"
    assert mounted("other") == [
        {"Type": "bind", "Source": f"{tmp_path}/link", "Target": "/x", "ReadOnly": False}
    ]
