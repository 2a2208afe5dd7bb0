"""Applications of the formats 0 to 3 in format 4: same services, or an error with its place."""

import json
import random
import re
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from zoe.model.errors import ZAppInvalid
from zoe.model.older_formats.application import Converted, convert
from zoe.model.older_formats.shop import convert_shop
from zoe.model.zapp import Kind, ZApp
from zoe.model.zapp_yaml import read_zapp

SHARED = Path(__file__).parents[3] / "shared" / "zapps"
MIB = 1024**2


def old(version: int = 3, *services: dict[str, Any], **more: Any) -> str:
    """Return an application of an old format; each service has a name and an image at least."""
    named = [{"name": f"s{n}", "image": "debian"} | one for n, one in enumerate(services or ({},))]
    values = {"name": "old", "version": version, "will_end": False, "services": named}
    return json.dumps(values | more)


def read(converted: Converted, **parameters: str) -> ZApp:
    text = StringIO()
    YAML().dump(converted.document, text)
    from_yaml = read_zapp(text.getvalue(), parameters=parameters)
    from_json = read_zapp(json.dumps(converted.document), file="a.json", parameters=parameters)
    assert from_yaml == from_json
    return from_yaml


def service(**fields: Any) -> Any:
    """Return the one service of an application of format 3 as it is read in format 4."""
    return read(convert(old(3, fields))).service("main.s0")


def refusals(text: str, file: str = "old.json") -> list[str]:
    with pytest.raises(ZAppInvalid) as caught:
        convert(text, file=file)
    return [str(problem) for problem in caught.value.problems]


def test_format_3() -> None:
    found = service(
        command="run --name 'two words' {user_name}",
        essential_count=2,
        total_count=5,
        resources={"cores": {"min": 0.5, "max": 2}, "memory": {"min": 64 * MIB, "max": 128 * MIB}},
        ports=[
            {"name": "UI", "port_number": 80, "protocol": "tcp", "url_template": "http://{ip_port}/"},
            {"name": "raw", "port_number": 81, "protocol": "udp"},
        ],
        environment=[["ME", "{dns_name#self}"], ["FIRST", "{dns_name#s00}:1"], ["N", "{index}"]],
        volumes=[{"name": "data", "path": "/srv/data", "read_only": True}],
        work_dir="/mnt/workspace/here",
        labels=["ssd"],
    )  # fmt: skip
    assert found.command == ("run", "--name", "two words", "${user}")
    assert (found.essential, found.elastic) == (2, 3)
    assert (found.resources.cores_milli, found.resources.memory_bytes) == (500, 64 * MIB)
    assert (found.limits.cores_milli, found.limits.memory_bytes) == (2000, 128 * MIB)
    assert [(p.port, p.name, str(p.protocol)) for p in found.ports] == [
        (80, "UI", "http"), (81, "raw", "udp")
    ]  # fmt: skip
    assert found.environment == {
        "ME": "${instance.host}", "FIRST": "${dns.main.s0.0}:1", "N": "${instance.ordinal}"
    }  # fmt: skip
    assert [(v.name, v.path, v.read_only) for v in found.volumes] == [("data", "/mnt/data", True)]
    assert (found.work_dir, found.labels) == ("${workspace}/here", ("ssd",))


def test_format_2_reserves_what_was_the_limit() -> None:
    one = {"image": None, "docker_image": "debian", "required_resources": {"memory": 64 * MIB}}
    mounted = one | {"volumes": [["/srv/data", "/data", False]]}
    found = read(convert(old(2, one, mounted)))
    first, second = (each for _, each in found.services())
    assert first.resources.memory_bytes == first.limits.memory_bytes == 64 * MIB
    assert [(v.name, v.path, v.read_only) for v in second.volumes] == [("srv-data", "/data", False)]


@pytest.mark.parametrize("host", [
    "m-{execution_id}", "m-{execution_id}.zoe-usernet-{user_id}", "{cluster[m][ip_address]}",
    "m-{execution_name}-{user_name}-{deployment_name}-zoe.{user_name}-{deployment_name}-zoe",
    "m-0-{execution_name}-{user_name}-{deployment_name}-zoe",
])  # fmt: skip
def test_the_whole_names_of_containers(host: str) -> None:
    services = ({"name": "m"}, {"environment": [["MASTER", f"spark://{host}:7077"]]})
    found = read(convert(old(1, *services))).service("main.s1")
    assert found.environment == {"MASTER": "spark://${dns.main.m.0}:7077"}


def test_format_0_has_processes_and_ports_as_lists() -> None:
    process = {"name": "web", "docker_image": "/repo/web", "ports": [["80", "Page", True]],
               "environment": [["URL", "{application_binary_url}"]]}  # fmt: skip
    values = {"name": "Old one", "version": 0, "will_end": True, "processes": [process]}
    converted = convert(json.dumps(values))
    found = read(converted, application_binary="job.py")
    assert (found.name, converted.document["title"]) == ("old-one", "Old one")
    web = found.service("main.web")
    assert (web.image, web.ports[0].port, web.monitor) == ("repo/web", 80, True)
    assert web.environment == {"URL": "job.py"}


def test_what_is_no_template_stays_as_it_is() -> None:
    found = service(environment=[["A", '{"json": [1, {"b": 2}]}'], ["B", "$HOME ${HOME} $${X}"]])
    assert found.environment == {"A": '{"json": [1, {"b": 2}]}', "B": "$HOME $${HOME} $$${X}"}


def test_the_start_up_order_becomes_dependencies() -> None:
    steps = [{"startup_order": step} for step in (5, 0, 0, 2)]
    found = read(convert(old(3, *steps)))
    waits = {each.name: dict(each.depends_on) for _, each in found.services()}
    assert waits == {
        "s0": {"s3": "started"}, "s1": {}, "s2": {}, "s3": {"s1": "started", "s2": "started"}
    }  # fmt: skip


@pytest.mark.parametrize(("will_end", "monitor", "ports", "kind"), [
    (True, True, [], Kind.BATCH),
    (True, False, [], Kind.BATCH),
    (False, True, [{"port_number": 80, "url_template": "http://{ip_port}/"}], Kind.INTERACTIVE),
    (False, True, [], Kind.SERVICE),
    (False, False, [{"port_number": 80, "protocol": "http"}], Kind.SERVICE),
])  # fmt: skip
def test_the_kind(will_end: bool, monitor: bool, ports: list[Any], kind: Kind) -> None:
    text = old(3, {"monitor": monitor, "ports": ports}, will_end=will_end)
    assert read(convert(text)).kind is kind


@pytest.mark.parametrize(("fields", "said"), [
    ({"volumes": [["CHANGEME", "CHANGEME", False]]}, "services.0.volumes.0: has CHANGEME in it"),
    ({"volumes": [["/one"]]}, "services.0.volumes.0: must be a folder, where it is seen"),
    ({"command": "echo 'open"}, "services.0.command: cannot be split into words"),
    ({"command": ["ls"]}, "services.0.command: must be a text"),
    ({"image": ""}, "services.0: has no image"),
    ({"name": "--"}, "services.0.name: is required: a text with letters or digits"),
    ({"total_count": 0}, "services.0.total_count: is less than the essential_count, which is 1"),
    ({"essential_count": -1}, "services.0.essential_count: must be a whole number, at least 0"),
    ({"essential_count": True}, "services.0.essential_count: must be a whole number"),
    ({"replicas": 2}, "services.0.replicas: several replicas of one instance"),
    ({"resources": {"memory": "much"}}, "services.0.resources.memory: must be a number"),
    ({"resources": {"memory": float("nan")}}, "services.0.resources.memory: must be a number"),
    ({"resources": {"cores": float("inf")}}, "services.0.resources.cores: must be a number"),
    ({"resources": [1]}, "services.0.resources: must be a mapping"),
    ({"ports": [{"name": "UI"}]}, "services.0.ports.0.port_number: must be the number of a port"),
    ({"ports": [[80]]}, "services.0.ports.0: must have a number and a name"),
    ({"environment": [["A"]]}, "services.0.environment.0: must be a name and a value"),
    ({"environment": [["A", "{dns_name#nobody0}"]]}, "names nobody0, and there is no such service"),
    ({"environment": [["A", "{dns_name#s07}"]]}, "names instance 7 of s0, which has 1"),
    ({"monitor": "yes"}, "services.0.monitor: must be true or false"),
])  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(fields: dict[str, Any], said: str) -> None:
    (problem, *_) = refusals(old(3, fields))
    assert re.match(r"old\.json:\d+:\d+: ", problem)
    assert said in problem


@pytest.mark.parametrize(("text", "said"), [
    ("{", "this is not valid JSON"),
    ("[]", "a document is a mapping"),
    ("{}", "version: is required: the format, 0 to 3"),
    ('{"version": 4, "services": []}', "there were the formats 0 to 3, but no 4"),
    ('{"zoe": 4}', "zoe: this is format 4 already"),
    ('{"version": 1, "zapps": []}', "this is a manifest of a shop"),
    ('{"version": 3, "services": []}', "has no services: at least one is required"),
    ('{"version": 3, "services": [[]]}', "has no services: at least one is required"),
    ('{"version": 3, "name": "a", "services": [7]}', "services.0: must be a mapping"),
])  # fmt: skip
def test_what_is_no_old_application(text: str, said: str) -> None:
    assert any(said in problem for problem in refusals(text))


def test_two_services_with_one_name_are_refused() -> None:
    (problem,) = refusals(old(3, {"name": "a b"}, {"name": "a-b"}))
    assert "services.1.name: a second service is called a-b" in problem


FULL = {
    "command": "run {user_name}",
    "essential_count": 1,
    "total_count": 2,
    "startup_order": 1,
    "resources": {"cores": {"min": 1, "max": 2}, "memory": {"min": 64 * MIB, "max": 64 * MIB}},
    "ports": [{"name": "UI", "port_number": 80, "protocol": "tcp", "url_template": "http://{ip}/"}],
    "environment": [["A", "{dns_name#s00}"]],
    "volumes": [{"name": "data", "path": "/srv/data", "read_only": True}, ["/a", "b", False]],
    "labels": ["ssd"],
    "constraints": ["constraint:node==n1"],
}
STRANGE = (None, True, -1, 1.5, "1e999", 10**40, "", [], {}, "{", "${", "\\", [[]], "9" * 400)


@pytest.mark.parametrize("seed", range(300))
def test_whatever_is_wrong_there_is_an_answer(seed: int) -> None:
    """Some value is another one, or is missing: an application, or all that is wrong in it."""
    chance = random.Random(seed)
    values = json.loads(old(3, FULL, FULL | {"monitor": True}))
    for _ in range(chance.randint(1, 3)):
        inner: Any = values
        while True:
            key = chance.choice(list(inner) if isinstance(inner, dict) else range(len(inner)))
            if isinstance(inner[key], dict | list) and inner[key] and chance.random() < 0.7:
                inner = inner[key]
                continue
            if chance.random() < 0.2:
                del inner[key]
            else:
                inner[key] = deepcopy(chance.choice(STRANGE))
            break
        if not values:
            break
    text = json.dumps(values).replace('"1e999"', "1e999")
    with suppress(ZAppInvalid):
        convert(text, file="old.json")


def test_everything_wrong_is_told_at_once() -> None:
    assert len(refusals(old(3, {"image": ""}, {"replicas": 2}, {"command": "'"}))) == 3


@pytest.mark.parametrize(("fields", "said"), [
    ({"networks": ["abc"]}, "networks: is left out"),
    ({"volumes": [["/tmp", "test", True]]}, "it is the volume test now"),
    ({"required_resources": {"memory": 64 * MIB}}, "belongs to format 2"),
    ({"resources": {"memory": 0}}, "reserved nothing; 1GiB is reserved now"),
    ({"constraints": ["constraint:node==n1"]}, "it asks for the label node=n1 now"),
    ({"environment": [["ZOE_X", "1"]]}, "names that begin with ZOE_ are Zoe's own"),
    ({"environment": [["X", "{name_prefix}"]]}, "nothing takes the place of {name_prefix}"),
    ({"colour": "red"}, "colour: means nothing in an old format"),
])  # fmt: skip
def test_what_is_not_kept_is_said(fields: dict[str, Any], said: str) -> None:
    converted = convert(old(3, fields), file="old.json")
    assert any(said in str(warning) for warning in converted.warnings)
    read(converted)


def manifest(*parameters: dict[str, Any], **more: Any) -> str:
    one = {"name": "My App", "description": "app.json", "parameters": list(parameters)}
    return json.dumps({"version": 1, "zapps": [one | more]})


def test_a_shop_becomes_a_catalogue() -> None:
    app = old(3, {"environment": [["RAM", "1"]]}, {"name": "worker", "monitor": True})
    (found,) = convert_shop(
        manifest(
            {"kind": "environment", "name": "RAM", "type": "int", "default": 5, "min": 1, "max": 9,
             "step": 2, "readable_name": "Memory", "description": "How much"},
            {"kind": "service_count", "name": "worker", "type": "int", "default": 1},
            {"kind": "command", "name": "worker", "type": "string", "default": "ls"},
            readable_descr="README.md", guest_access=True,
        ),
        {"app.json": app}.__getitem__,
    )  # fmt: skip
    assert (found.name, found.readme) == ("my-app", "README.md")
    zapp = read(found.converted, ram="7", worker="1")
    assert zapp.service("main.s0").environment == {"RAM": "7"}
    assert zapp.service("main.worker").essential == 1
    said = [str(warning) for warning in found.converted.warnings]
    assert [part for part in ("guest_access", "step", "command of worker") if
            not any(part in one for one in said)] == []  # fmt: skip
    with pytest.raises(ZAppInvalid, match="more than the maximum, 9"):
        read(found.converted, ram="10")


@pytest.mark.parametrize(("text", "said"), [
    ('{"version": 2, "zapps": []}', "a manifest has version 1"),
    ('{"version": 1, "zapps": [{}]}', "zapps.0: must have a name"),
    (manifest({"kind": "colour", "name": "A", "type": "int"}), "the kind colour is not known"),
    (manifest({"kind": "environment", "name": "A", "type": "date"}), "type: must be one of string"),
])  # fmt: skip
def test_a_shop_that_is_wrong(text: str, said: str) -> None:
    with pytest.raises(ZAppInvalid, match=re.escape(said)):
        convert_shop(text, lambda name: old(3))


# The real files, which are not part of the project.

REFUSED = {
    "gen-v1-2016-03-22-zoe-predef-copier_app-0.9.5": "CHANGEME",
    "gen-v1-2016-03-22-zoe-predef-openmpi_app-0.9.5": "CHANGEME",
}
"""Templates that their users had to fill in."""


def old_services(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for one in values.get("services") or values["processes"]:
        yield from one if isinstance(one, list) else [one]


def memory_of(one: dict[str, Any]) -> Any:
    asked = (one.get("resources") or one.get("required_resources"))["memory"]  # type: ignore[index]
    least = asked["min"] if isinstance(asked, dict) else asked
    return least if least and least > 0 else 1024**3


@pytest.mark.component("shared")
def test_every_application_of_the_past() -> None:
    files = sorted(SHARED.glob("*.json"))
    assert len(files) > 60
    for file in files:
        if file.stem in REFUSED:
            assert REFUSED[file.stem] in "".join(refusals(file.read_text()))
            continue
        values = json.loads(file.read_text())
        converted = convert(file.read_text(), file=file.name)
        zapp = read(converted, **dict.fromkeys(converted.document.get("parameters", ()), "x"))
        found = [each for _, each in zapp.services()]
        before = list(old_services(values))
        assert len(found) == len(before), file.name
        for new, one in zip(found, before, strict=True):
            assert new.name == one["name"]
            assert new.image == (one.get("image") or one["docker_image"]).lstrip("/")
            assert new.essential == one.get("essential_count", 1)
            assert new.essential + new.elastic == one.get("total_count", 1)
            assert new.resources.memory_bytes == memory_of(one)
            listens = [p[0] if isinstance(p, list) else p["port_number"] for p in one["ports"]]
            assert [port.port for port in new.ports] == [int(port) for port in listens]
            words = (one.get("command") or "").replace("/mnt/workspace", "${workspace}").split()
            assert list(new.command) == words
            names = [k for k, _ in one.get("environment", ()) if not k.startswith("ZOE_")]
            assert list(new.environment) == list(dict.fromkeys(names))
            for name, value in one.get("environment", ()):
                if "{" not in value and name in new.environment:
                    assert new.environment[name] == value.replace("/mnt/workspace", "${workspace}")


@pytest.mark.component("shared")
def test_every_shop_of_the_past() -> None:
    applications = {}
    for file in sorted(SHARED.glob("raw-v3-*.json")):
        found = re.match(r"raw-v3-\d+-\d+-\d+-(.*)-[0-9a-f]{7}", file.stem)
        assert found is not None
        applications[f"{found[1]}.json"] = file.read_text()
    files = sorted((SHARED / "manifests").glob("*.json"))
    assert len(files) == 12
    for file in files:
        # Of some applications nothing but the manifest is left.
        shop = convert_shop(
            file.read_text(), lambda name: applications.get(name, old(3)), file=file.name
        )
        for one in shop:
            parameters = one.converted.document.get("parameters", {})
            undecided = [name for name, each in parameters.items() if "default" not in each]
            read(one.converted, **dict.fromkeys(undecided, "x"))
