"""No application can ask for what opens the machine: in no format, and by no parameter."""

import json
from typing import Any

import pytest

from zoe.model.errors import ZAppInvalid
from zoe.model.older_formats.application import convert
from zoe.model.zapp_yaml import read_zapp

SERVICE = {"image": "debian:12", "command": ["true"], "monitor": True}


def zapp(service: dict[str, Any], **more: object) -> str:
    services = {"s": {**SERVICE, **service}}
    document = {"zoe": 4, "name": "a", "kind": "batch", "frameworks": {"f": {"services": services}}}
    return json.dumps({**document, **more})


@pytest.mark.parametrize(
    "service",
    [
        {"privileged": True},
        {"cap_add": ["SYS_ADMIN"]},
        {"capabilities": ["SYS_ADMIN"]},
        {"network_mode": "host"},
        {"network": "host"},
        {"pid": "host"},
        {"ipc": "host"},
        {"user": "root"},
        {"devices": ["/dev/sda"]},
        {"security_opt": ["seccomp=unconfined"]},
        {"binds": ["/:/host"]},
        {"mounts": [{"source": "/", "target": "/host"}]},
        {"volumes": ["/:/host"]},
        {"volumes": ["/var/run/docker.sock:/var/run/docker.sock"]},
        {"volumes": [{"name": "x", "path": "/x", "source": "/"}]},
        {"volumes": [{"name": "/", "path": "/x"}]},
        {"volumes": [{"name": "../x", "path": "/x"}]},
        {"volumes": [{"name": "x", "path": "/x/../.."}]},
        {"volumes": [{"name": "x", "path": "x"}]},
    ],
    ids=str,
)
def test_there_is_no_word_for_it(service: dict[str, Any]) -> None:
    assert read_zapp(zapp({})).name == "a"
    with pytest.raises(ZAppInvalid):
        read_zapp(zapp(service))


@pytest.mark.parametrize("chosen", ["/", "/var/run/docker.sock", "../x", "x:/y"])
def test_a_parameter_brings_none_in(chosen: str) -> None:
    parameters = {"of": {"type": "string", "default": "fine"}}
    service = {"volumes": [{"name": "${parameters.of}", "path": "/x"}]}
    text = zapp(service, parameters=parameters)
    try:
        names = [
            mount.name
            for _, one in read_zapp(text, parameters={"of": chosen}).services()
            for mount in one.volumes
        ]
    except ZAppInvalid:
        names = []
    assert names == []


@pytest.mark.parametrize("version", [2, 3])
def test_what_is_converted_has_no_more(version: int) -> None:
    rights = {"privileged": True, "cap_add": ["ALL"], "network_mode": "host", "pid": "host"}
    mounts = [["/", "/host", False], ["/var/run/docker.sock", "/var/run/docker.sock", False]]
    service = {"name": "s", "image": "debian", "volumes": mounts, "monitor": True, **rights}
    old = {"name": "old", "version": version, "will_end": False, "services": [service]}
    converted = convert(json.dumps(old))
    said = " ".join(map(str, converted.warnings))
    for word in rights:
        assert word in said, f"{word} is left out without a word"
        assert f"'{word}'" not in str(converted.document)
    names = [
        mount.name
        for _, one in read_zapp(json.dumps(converted.document)).services()
        for mount in one.volumes
    ]
    assert all("/" not in name for name in names), "an administrator would have to define them"
