"""The keys are made once, closed to others, and refused when they are not."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zmq

from zoe.rpc.keys import KeysUnusable, client_keys, make_keys, server_keys

FILES = ("api.public", "api.secret", "master.public", "master.secret")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_start_makes_keys_that_fit_and_are_closed(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "keys"
    before = os.umask(0)
    try:
        server, client = server_keys(folder), client_keys(folder)
    finally:
        os.umask(before)
    assert client.server == server.public
    assert server.clients == {client.public: "api"}
    assert zmq.curve_public(client.secret) == client.public
    assert mode(folder) == 0o700
    assert [(file.name, mode(file)) for file in sorted(folder.iterdir())] == [
        (name, 0o600) for name in FILES
    ]
    assert list(folder.parent.iterdir()) == [folder]  # nothing is left beside it


def test_the_second_start_finds_the_same_keys(tmp_path: Path) -> None:
    first = server_keys(tmp_path / "keys")
    assert server_keys(tmp_path / "keys") == first


def test_programs_that_start_at_once_agree(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    with ThreadPoolExecutor(8) as pool:
        clients = list(pool.map(client_keys, [folder] * 16))
    assert set(clients) == {client_keys(folder)}
    assert list(tmp_path.iterdir()) == [folder]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o755)
    server_keys(folder)
    assert mode(folder) == 0o700


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    for keys in (server_keys(tmp_path / "keys"), client_keys(tmp_path / "keys")):
        assert keys.secret.decode() not in repr(keys)


@pytest.mark.parametrize("read", [server_keys, client_keys])
@pytest.mark.parametrize("bits", [0o701, 0o710, 0o750, 0o755, 0o777])
def test_an_open_folder_is_refused(tmp_path: Path, read: object, bits: int) -> None:
    folder = tmp_path / "keys"
    make_keys(folder)
    folder.chmod(bits)
    with pytest.raises(KeysUnusable, match=f"open to other users.*{bits:04o}") as raised:
        read(folder)  # type: ignore[operator]  # one of two functions
    assert "chmod 700" in raised.value.hint


@pytest.mark.parametrize("bits", [0o604, 0o640, 0o644, 0o666])
def test_an_open_secret_is_refused(tmp_path: Path, bits: int) -> None:
    folder = tmp_path / "keys"
    make_keys(folder)
    (folder / "master.secret").chmod(bits)
    with pytest.raises(KeysUnusable, match="open to other users"):
        server_keys(folder)
    client_keys(folder)  # its own secret is closed


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 41, b"\xff" * 40, b"a" * 39 + b"~"])
def test_what_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "keys"
    make_keys(folder)
    (folder / "master.public").write_bytes(content)
    with pytest.raises(KeysUnusable, match="does not hold a key"):
        client_keys(folder)


def test_a_missing_key_is_named_and_not_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    make_keys(folder)
    (folder / "master.secret").unlink()
    with pytest.raises(KeysUnusable, match=r"master\.secret cannot be read"):
        server_keys(folder)
    client_keys(folder)  # a machine that runs only the api has no other files


def test_a_secret_behind_a_link_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    make_keys(folder)
    (folder / "api.secret").rename(tmp_path / "elsewhere")
    (folder / "api.secret").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeysUnusable, match="cannot be read"):
        client_keys(folder)


def test_a_master_that_knows_nobody_does_not_start(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    make_keys(folder)
    (folder / "api.public").unlink()
    with pytest.raises(KeysUnusable, match="nobody's public key"):
        server_keys(folder)


def test_a_place_for_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KeysUnusable, match="cannot be made"):
        server_keys(tmp_path / "file" / "keys")
