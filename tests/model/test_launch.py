"""What is run for one instance."""

from dataclasses import replace
from pathlib import Path

import pytest

from zoe.model.execution import Execution, ServiceInstance
from zoe.model.launch import Launch, Place, launch
from zoe.model.zapp import CommandCheck, HttpCheck, ReadyCheck, TcpCheck
from zoe.model.zapp_yaml import read_zapp

ZAPP = read_zapp((Path(__file__).parent / "full.yaml").read_text(), parameters={"workers": 3})
EXECUTION = Execution(7, "my-run", "ada", ZAPP, 0.0)
PLACE = Place(
    deployment="lab",
    hosts={
        "base.first.0": "f0",
        "main.server.0": "s0",
        **{f"main.worker.{n}": f"w{n}" for n in (10, 3, 1, 2, 0)},
        "main.helper.0": "h0",
        "main.helper.1": "h1",
        "another.one.0": "nobody",
    },
    workspace="/home/ada",
)
COMMON = {
    "ZOE_EXECUTION_ID": "7",
    "ZOE_EXECUTION_NAME": "my-run",
    "ZOE_DEPLOYMENT": "lab",
    "ZOE_USER": "ada",
    "ZOE_WORKSPACE": "/home/ada",
    "ZOE_HOSTS_BASE_FIRST": "f0",
    "ZOE_HOSTS_MAIN_SERVER": "s0",
    "ZOE_HOSTS_MAIN_WORKER": "w0,w1,w2,w3,w10",
    "ZOE_HOSTS_MAIN_HELPER": "h0,h1",
}


def instance(service: str, ordinal: int = 0) -> ServiceInstance:
    return ServiceInstance(7, service, ordinal, True)


def test_everything_is_resolved() -> None:
    assert launch(EXECUTION, instance("main.server"), PLACE) == Launch(
        command=("serve", "--rate=0.5", "--note=${user} 1.10", "${user} 1.10", "3"),
        environment={
            **COMMON,
            "DEBUG": "true",
            "HOST": "w3",
            "VERSION": "1.10",
            "ZOE_FRAMEWORK": "main",
            "ZOE_SERVICE": "server",
            "ZOE_INSTANCE": "0",
            "ZOE_PROXY_PATH_80": "/proxy/7/main.server/0/80/",
            "ZOE_PROXY_PATH_81": "/proxy/7/main.server/0/81/",
        },
        work_dir="/home/ada/x",
        ready=ReadyCheck(HttpCheck(80, "/7"), 120.0, 1.0),
    )


def test_the_process_command_is_preferred_where_there_are_no_containers() -> None:
    server = launch(EXECUTION, instance("main.server"), PLACE, on_process=True)
    assert server.command == ("serve", "s0")
    first = launch(EXECUTION, instance("base.first"), PLACE, on_process=True)
    assert first.command == ("sh", "-c", "echo 1.10 7 007 true null-like ${HOME}")


def test_checks_and_the_shrink_command() -> None:
    worker = launch(EXECUTION, instance("main.worker", 2), PLACE)
    assert worker.ready == ReadyCheck(TcpCheck(90))
    assert worker.shrink_command == ("drain", "2")
    helper = launch(EXECUTION, instance("main.helper"), PLACE)
    assert helper.ready == ReadyCheck(CommandCheck(("true", "5")))


def test_the_api_and_its_token_are_there_when_they_are_known() -> None:
    place = Place("lab", PLACE.hosts, "/w", api_url="http://here", token="zoe_t")
    environment = launch(EXECUTION, instance("base.first"), place).environment
    assert environment["ZOE_API_URL"] == "http://here"
    assert environment["ZOE_TOKEN"] == "zoe_t"


def test_every_variable_has_its_value() -> None:
    zapp = read_zapp(
        """
zoe: 4
name: a
frameworks:
  f:
    services:
      s:
        command:
          - "${execution.id} ${execution.name} ${user} ${deployment} ${workspace}"
          - "${instance.ordinal} ${instance.host} ${instance.listen}"
          - "${dns.f.s.0} ${$}${user} $${user}"
        monitor: true
        environment: {USER: "${user}"}
"""
    )
    place = Place("lab", {"f.s.0": "h"}, "/w")
    found = launch(Execution(7, "run", "ada", zapp, 0.0), instance("f.s"), place)
    assert found.command == ("7 run ada lab /w", "0 h h", "h $ada ${user}")
    assert found.environment["USER"] == "ada"
    place = replace(place, listen="::")
    found = launch(Execution(7, "run", "ada", zapp, 0.0), instance("f.s"), place)
    assert found.command[1] == "0 h ::"


def test_a_host_that_the_back_end_forgot_is_a_programming_error() -> None:
    with pytest.raises(KeyError):
        launch(EXECUTION, instance("main.server"), Place("lab", {}, "/w"))
