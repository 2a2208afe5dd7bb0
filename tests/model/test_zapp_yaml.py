"""Good documents, and what they become."""

import json
from pathlib import Path

from zoe.model.parameters import Parameter
from zoe.model.resources import Resources
from zoe.model.zapp import (
    CommandCheck,
    Condition,
    Framework,
    HttpCheck,
    Kind,
    Port,
    ReadyCheck,
    RestartPolicy,
    Service,
    ShrinkHook,
    Speedup,
    TcpCheck,
    VolumeMount,
    ZApp,
)
from zoe.model.zapp_yaml import Outline, read_outline, read_zapp

FULL = (Path(__file__).parent / "full.yaml").read_text()

EXPECTED = ZApp(
    name="everything",
    kind=Kind.INTERACTIVE,
    time_limit_seconds=9000.0,
    parameters={"workers": 3, "rate": 0.5, "big": True, "size": "large", "note": "${user} 1.10"},
    frameworks=(
        Framework(
            "base",
            (
                Service(
                    "first",
                    image="python:3.12",
                    command=("sh", "-c", "echo 1.10 7 007 true null-like $${HOME}"),
                    resources=Resources(1000, 1024**3, 0),
                ),
            ),
        ),
        Framework(
            "main",
            (
                Service(
                    "server",
                    image="python:3.12",
                    command=("serve", "--rate=0.5", "--note=$${user} 1.10", "$${user} 1.10", "3"),
                    process_command=("serve", "${instance.host}"),
                    resources=Resources(500, 512_000_000, 1),
                    limits=Resources(0, 1024**3),
                    ports=(Port("Page", 80, "http"), Port("tcp 81", 81)),
                    ready=ReadyCheck(HttpCheck(80, "/${execution.id}"), 120.0, 1.0),
                    monitor=True,
                    environment={
                        "DEBUG": "true",
                        "HOST": "${dns.main.worker.3}",
                        "VERSION": "1.10",
                    },
                    work_dir="${workspace}/x",
                    volumes=(VolumeMount("datasets", "/data", True),),
                    labels=("ssd", "zone=a"),
                    spread=True,
                    shm_bytes=64 * 1024**2,
                    restart=RestartPolicy("on-failure", 5, 1.5),
                ),
                Service(
                    "worker",
                    image="python:3.12",
                    resources=Resources(1000, 1024**3, 0),
                    essential=1,
                    elastic=3,
                    ready=ReadyCheck(TcpCheck(90)),
                    depends_on={"server": Condition.READY},
                    shrink=ShrinkHook(("drain", "${instance.ordinal}"), 30.0),
                    speedup=Speedup(0.95),
                ),
                Service(
                    "helper",
                    image="python:3.12",
                    resources=Resources(1000, 1024**3, 0),
                    essential=2,
                    ready=ReadyCheck(CommandCheck(("true", "5"))),
                    depends_on={"server": Condition.STARTED},
                ),
            ),
            {"base": Condition.COMPLETED},
        ),
    ),
)


def test_everything_in_one_document() -> None:
    assert (
        read_zapp(FULL, file="full.yaml", parameters={"workers": "3", "size": "large"}) == EXPECTED
    )


def test_amounts_are_plain_numbers_whatever_they_were_written_as() -> None:
    worker = read_zapp(FULL, parameters={"workers": 3}).service("main.worker")
    assert type(worker.elastic) is int
    assert worker.speedup is not None
    assert type(worker.speedup.parallel_fraction) is float


def test_json_says_the_same_as_yaml() -> None:
    text = """
    {"zoe": 4, "name": "a", "frameworks": {"f": {"services": {"s":
    \t{"command": ["\\u00e9\\ud83d\\ude00\\/", 1.50], "monitor": true, "x-note": [null]}}}}}
    """
    json.loads(text)
    expected = ZApp(
        "a",
        Kind.BATCH,
        (
            Framework(
                "f",
                (
                    Service(
                        "s",
                        command=("é😀/", "1.50"),
                        monitor=True,
                        resources=Resources(1000, 1024**3),
                    ),
                ),
            ),
        ),
    )
    assert read_zapp(text, file="a.json") == expected
    assert read_zapp(text, file="a.yaml") == expected


def test_a_catalogue_framework_under_two_names() -> None:
    dask = """
zoe: 4
framework: dask
title: A cluster
parameters: {workers: {type: integer, default: 1}, image: {type: string, default: d}}
services:
  hub: {image: "${parameters.image}", command: [hub], environment: {A: "$${x}"}}
  worker:
    command: [work, "${dns.dask.hub.0}"]
    count: "${parameters.workers}"
    depends_on: {hub: ready}
"""
    text = """
zoe: 4
name: a
kind: service
parameters: {n: {type: integer, default: 4}}
frameworks:
  one: {use: dask, with: {workers: "${parameters.n}"}}
  two: {use: dask, with: {image: e}, depends_on: {one: ready}}
"""
    zapp = read_zapp(text, catalogue={"dask": ("dask.yaml", dask)})
    assert zapp.service("one.worker").essential == 4
    assert zapp.service("two.worker").essential == 1
    assert zapp.service("one.hub").image == "d"
    assert zapp.service("two.hub").image == "e"
    assert zapp.service("one.worker").command == ("work", "${dns.one.hub.0}")
    assert zapp.service("two.worker").command == ("work", "${dns.two.hub.0}")
    assert zapp.service("two.hub").environment == {"A": "$${x}"}
    assert zapp.service("two.worker").depends_on == {"hub": Condition.READY}
    assert zapp.frameworks[1].depends_on == {"one": Condition.READY}
    assert zapp.parameters == {"n": 4}


def test_a_parameter_cannot_bring_in_a_variable() -> None:
    text = """
zoe: 4
name: a
parameters: {x: {type: string}, y: {type: string, default: "{user}"}}
frameworks:
  f:
    services:
      s: {command: ["${parameters.x}${user}", "${parameters.x}${parameters.y}"], monitor: true}
"""
    command = read_zapp(text, parameters={"x": "$"}).service("f.s").command
    assert command == ("${$}${user}", "$${user}")


def test_merged_keys_are_overridden_by_those_written_here() -> None:
    text = """
zoe: 4
name: a
x-one: &one {image: one, spread: true}
x-two: &two {image: two, work_dir: /two}
frameworks:
  f:
    services:
      s: {<<: [*one, *two], monitor: true, command: [a]}
      t: {<<: *one, image: three}
"""
    zapp = read_zapp(text)
    assert zapp.service("f.s").image == "one"
    assert zapp.service("f.s").work_dir == "/two"
    assert zapp.service("f.t").image == "three"
    assert zapp.service("f.t").spread


def test_an_outline_needs_no_choice_of_parameters() -> None:
    text = """
zoe: 4
name: a
title: Runs ${parameters.what}
description: 2
parameters:
  what: {type: choice, choices: [1, two], default: two, title: What}
  n: {type: integer, min: 1, max: 9, description: How many}
frameworks: whatever
"""
    assert read_outline(text) == Outline(
        "a",
        "Runs two",
        "2",
        Kind.BATCH,
        (
            Parameter("what", "choice", "two", choices=("1", "two"), title="What"),
            Parameter("n", "integer", min=1, max=9, description="How many"),
        ),
    )
    framework = "zoe: 4\nframework: f\ntitle: F\nservices: {}"
    assert read_outline(framework) == Outline("f", "F", "", None, ())
