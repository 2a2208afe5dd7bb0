"""The engines of a deployment as an administrator writes them down."""

import pytest

from zoe.model.engines import EngineSpec, parse_engines


def test_an_engine_is_a_name_and_a_socket() -> None:
    (engine,) = parse_engines("lab unix:///run/docker.sock")
    assert engine == EngineSpec("lab", "unix:///run/docker.sock")


def test_several_engines_give_away_what_is_said() -> None:
    first, second = parse_engines(
        "a unix:///a.sock cores=1.5 memory=2GiB gpus=0,1 labels=ssd,big address=lab.example; b unix:///b.sock"
    )
    assert (first.cores_milli, first.memory_bytes, first.gpus) == (1500, 2 * 2**30, ("0", "1"))
    assert first.labels == {"ssd", "big"}
    assert (first.address, second.name, second.address) == ("lab.example", "b", "")


def test_an_engine_on_another_machine_has_certificates_or_says_that_it_has_none() -> None:
    safe, open_, six = parse_engines(
        "a tcp://10.0.0.5:2376 tls=/etc/zoe/a; b tcp://b:2375 insecure address=lab.example;"
        "c tcp://[fd00::5]:2375 insecure"
    )
    assert (safe.tls, safe.insecure, safe.socket) == ("/etc/zoe/a", False, "")
    assert safe.address == "10.0.0.5", "its ports are published where it is reached"
    assert (open_.tls, open_.insecure, open_.address) == ("", True, "lab.example")
    assert six.address == "fd00::5"


def test_an_engine_on_another_machine_is_reached_by_ssh() -> None:
    full, short, six, tcp = parse_engines(
        "a ssh://ada@lab1:2222/run/user/1000/docker.sock; b ssh://lab_2 address=lab2.example;"
        "c ssh://ada@[fd00::5]/; d tcp://b:2375 insecure"
    )
    assert (full.ssh_destination, full.remote_socket) == (
        "ssh://ada@lab1:2222",
        "/run/user/1000/docker.sock",
    )
    assert (full.socket, full.address) == ("", "lab1")
    assert (short.ssh_destination, short.remote_socket) == ("ssh://lab_2", "/var/run/docker.sock")
    assert short.address == "lab2.example"
    assert (six.ssh_destination, six.address) == ("ssh://ada@[fd00::5]", "fd00::5")
    assert six.remote_socket == "/var/run/docker.sock"
    assert (tcp.ssh_destination, tcp.remote_socket) == ("", "")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "between one and"),
        ("lab", "a name and an address"),
        ("Lab_1 unix:///run/docker.sock", "a name and an address"),
        ("lab http://10.0.0.5:2375", "neither a socket"),
        ("lab tcp://10.0.0.5", "neither a socket"),
        ("lab tcp://10.0.0.5:65536 insecure", "no port from 1 to 65535"),
        ("lab tcp://10.0.0.5:0 insecure", "no port from 1 to 65535"),
        ("lab tcp://10.0.0.5:2375", "root on that machine"),
        ("lab tcp://10.0.0.5:2375 tls=/etc/lab insecure", "needs either tls="),
        ("lab tcp://10.0.0.5:2375 tls=lab", "tls= is a folder"),
        ("lab ssh://", "neither a socket"),
        ("lab ssh://-oProxyCommand=x", "neither a socket"),
        ("lab ssh://-x@lab", "neither a socket"),
        ("lab ssh://ada@lab:0", "no port from 1 to 65535"),
        ("lab ssh://ada@lab:2222/a:b", "neither a socket"),
        ("lab ssh://ada@lab/%h", "neither a socket"),
        ("lab ssh://ada:secret@lab", "neither a socket"),
        ("lab ssh://ada@lab tls=/etc/lab", "are for tcp://"),
        ("lab ssh://ada@lab insecure", "are for tcp://"),
        ("lab unix:///a.sock insecure", "are for tcp://"),
        ("lab unix:///a.sock tls=/etc/lab", "are for tcp://"),
        ("lab unix:///a.sock; lab unix:///b.sock", "two engines have the name lab"),
        ("a unix:///a.sock; b unix:///a.sock", "two engines have the address"),
        ("lab unix:///a.sock cores=none", "could not convert"),
        ("lab unix:///a.sock cores=-1", "above zero"),
        ("lab unix:///a.sock cores=inf", "above zero"),
        ("lab unix:///a.sock gpus=0,0", "named twice"),
        ("lab unix:///a.sock labels=,", "labels="),
        ("lab unix:///a.sock address=", "name or IP address"),
        ("lab unix:///a.sock disk=1", "none of cores="),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_engines(text)
