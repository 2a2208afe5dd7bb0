"""Which back-end is taken when nobody says, with engines that answer in every way."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from zoe.cli.backend_choice import BackendInUse, as_started, choose, note_end, note_start
from zoe.cli.doctor import examine
from zoe.settings import Origin, Settings, load_settings

GOOD = {"Version": "24.0", "ApiVersion": "1.43", "Os": "linux"}


class Server(socketserver.ThreadingUnixStreamServer):
    def get_request(self) -> tuple[object, tuple[str, int]]:
        request, _ = super().get_request()
        return request, ("local", 0)


def always(version: object) -> type[BaseHTTPRequestHandler]:
    """Answer every question with the same."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(version).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    return Answer


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def engine_that_says(folder: Path, version: object) -> Iterator[str]:
    """Answer every question on a socket with the same."""
    path = folder / "docker.sock"
    with serving(Server(str(path), always(version))):
        yield f"unix://{path}"
    path.unlink()


Loaded = tuple[Settings, dict[str, Origin]]


def loaded(folder: Path, **settings: object) -> Loaded:
    found, origins = load_settings({"data_dir": folder / "data", **settings}, {}, ())
    return found, dict(origins)


def test_an_engine_without_tls_is_taken_where_that_is_meant(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), always(GOOD))
    with serving(server):
        engines = f"lab tcp://127.0.0.1:{server.server_port} insecure"
        settings, origins = loaded(tmp_path, docker_engines=engines)
        chosen, why = choose(settings, origins, {})
    assert (chosen.backend, chosen.docker_engines) == ("docker", engines)
    assert "without TLS" in why


def test_docker_is_taken_where_it_answers(tmp_path: Path) -> None:
    settings, origins = loaded(tmp_path)
    with engine_that_says(tmp_path, GOOD) as url:
        chosen, why = choose(settings, origins, {"DOCKER_HOST": url})
        assert (chosen.backend, chosen.docker_engines) == ("docker", f"docker {url}")
        assert why == f"Docker 24.0, API 1.43, at {url}"
        named, origins = loaded(tmp_path, docker_engines=f"lab {url} cores=2")
        chosen, _ = choose(named, origins, {"DOCKER_HOST": "unix:///nowhere"})
        assert (chosen.backend, chosen.docker_engines) == ("docker", named.docker_engines)


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (GOOD | {"Os": "windows"}, "runs containers of windows"),
        (GOOD | {"ApiVersion": "1.40"}, "is older than API 1.41"),
        (GOOD | {"ApiVersion": "new"}, "invalid literal"),
        ({"Version": "24.0"}, "ApiVersion"),
    ],
)
def test_an_engine_that_cannot_be_used_is_said(tmp_path: Path, version: object, said: str) -> None:
    settings, origins = loaded(tmp_path)
    with engine_that_says(tmp_path, version) as url:
        chosen, why = choose(settings, origins, {"DOCKER_HOST": url})
    assert chosen.backend == "process"
    assert why.startswith("Docker at DOCKER_HOST is not used: ")
    assert said in why


def test_without_an_engine_processes_are_taken(tmp_path: Path) -> None:
    settings, origins = loaded(tmp_path, docker_engines=f"lab unix://{tmp_path}/none.sock")
    chosen, why = choose(settings, origins, {})
    assert chosen.backend == "process"
    assert why == f"Docker is not used: there is no socket {tmp_path}/none.sock"


def test_a_deployment_keeps_what_it_was_started_with(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with engine_that_says(tmp_path, GOOD) as url:
        settings, origins = loaded(tmp_path)
        chosen, _ = choose(settings, origins, {"DOCKER_HOST": url})
        note_start(chosen)
    again, why = choose(settings, origins, {})
    assert (again.backend, again.docker_engines) == ("docker", f"docker {url}")
    assert why == "as it was started before"
    told, origins = loaded(tmp_path, backend="process")
    with pytest.raises(BackendInUse, match="still run with docker, and --backend says process"):
        choose(told, origins, {})
    assert as_started(told) == again.model_copy(), "what ends it knows better than the settings"
    finding = next(each for each in examine(told, origins) if each.what == "back-end")
    assert not finding.ok
    assert "zoe down" in finding.try_
    note_end(chosen)
    assert choose(told, origins, {}) == (told, "--backend says so")


def test_an_older_deployment_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "data/postgres").mkdir(parents=True)
    with engine_that_says(tmp_path, GOOD) as url:
        settings, origins = loaded(tmp_path)
        assert choose(settings, origins, {"DOCKER_HOST": url})[0].backend == "process"
