from pathlib import Path

import pytest

from zoe.cli.reference import explanations
from zoe.settings import (
    Settings,
    SettingsInvalid,
    load_settings,
    settings_files,
    to_environment,
)


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def wrong(match: str, overrides: dict[str, object], environ: dict[str, str], *files: Path) -> str:
    with pytest.raises(SettingsInvalid, match=match) as raised:
        load_settings(overrides, environ, files)
    return str(raised.value)


def test_the_strongest_place_wins(tmp_path: Path) -> None:
    project = write(tmp_path / "zoe.toml", "api_port = 2\npolicy = 'size2d'\n")
    user = write(tmp_path / "config.toml", "\napi_port = 1\nlog_level = 'debug'\n")
    environ = {"ZOE_API_PORT": "3", "ZOE_PROCESS_SHARED": "true"}

    settings, origins = load_settings({"api_port": 4}, environ, [project, user])
    assert settings.api_port == 4
    assert str(origins["api_port"]) == "--api-port"

    settings, origins = load_settings({}, environ, [project, user])
    assert (settings.api_port, settings.process_shared) == (3, True)
    assert str(origins["api_port"]) == "ZOE_API_PORT"

    settings, origins = load_settings({}, {}, [project, user])
    assert (settings.api_port, settings.policy, settings.log_level) == (2, "size2d", "debug")
    assert str(origins["api_port"]) == f"{project}:1"
    assert str(origins["log_level"]) == f"{user}:3"
    assert str(origins["deployment"]) == "default"


def test_files_are_looked_for_in_the_usual_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    home = {"HOME": "/home/ada"}
    assert settings_files(home) == (
        tmp_path / "zoe.toml",
        Path("/home/ada/.config/zoe/config.toml"),
        Path("/etc/zoe/zoe.toml"),
    )
    assert settings_files({"XDG_CONFIG_HOME": "/xdg"})[1] == Path("/xdg/zoe/config.toml")


def test_a_value_can_be_in_a_file(tmp_path: Path) -> None:
    secret = write(tmp_path / "token", "zoe_abc\n")
    settings, origins = load_settings({}, {"ZOE_TOKEN_FILE": str(secret)}, [])
    assert settings.token == "zoe_abc"
    assert str(origins["token"]) == "ZOE_TOKEN_FILE"

    wrong("ZOE_TOKEN_FILE: the file cannot be read", {}, {"ZOE_TOKEN_FILE": "/absent"})
    wrong("not both", {}, {"ZOE_TOKEN_FILE": str(secret), "ZOE_TOKEN": "x"})


def test_folders_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path / "etc/zoe.toml", "zapps_dir = '../zapps'\npg_bin = ''\n")
    settings, _ = load_settings({"data_dir": "here"}, {}, [file])
    assert settings.zapps_dir == tmp_path / "zapps"
    assert settings.data_dir == tmp_path / "here"
    assert settings.pg_bin is None


def test_unknown_settings_are_errors_with_their_place(tmp_path: Path) -> None:
    file = write(tmp_path / "zoe.toml", "policy = 'size2d'\napi_prot = 1\n[masters]\nx = 1\n")
    message = wrong("no such setting", {}, {"ZOE_API_PRT": "1"}, file)
    assert f"{file}:2:1: api_prot: there is no such setting (did you mean api_port?)" in message
    assert f"{file}:3:1: masters: there is no such setting" in message
    assert (
        "ZOE_API_PRT: no setting belongs to this variable (did you mean ZOE_API_PORT?)" in message
    )
    wrong("datadir: there is no such setting .did you mean data_dir", {"datadir": 1}, {})


def test_wrong_values_say_where_and_what_is_allowed(tmp_path: Path) -> None:
    file = write(tmp_path / "zoe.toml", "policy = 'lifo'\n")
    message = wrong("policy", {}, {"ZOE_API_PORT": "99999"}, file)
    assert f"{file}:1: policy: 'lifo' is not allowed: input should be 'fair', 'priority'" in message
    assert "ZOE_API_PORT: api_port: '99999' is not allowed" in message
    assert "less than or equal to 65535" in message
    wrong(
        "ZOE_PROCESS_MEMORY: process_memory: '16GB1' is not allowed",
        {},
        {"ZOE_PROCESS_MEMORY": "16GB1"},
    )


def test_memory_is_in_bytes() -> None:
    assert load_settings({"process_memory": "1GiB"}, {}, [])[0].process_memory_bytes == 2**30
    assert load_settings({}, {}, [])[0].process_memory_bytes == 0


def test_gpus_are_named() -> None:
    def ids(text: str) -> object:
        return load_settings({"process_gpus": text}, {}, [])[0].process_gpu_ids

    assert ids("0, 1") == ("0", "1")
    assert ids("GPU-8f6e") == ("GPU-8f6e",)
    assert ids("none") == ()
    assert ids("") is None
    for text, said in (("0,,1", "with commas between"), ("1,1", "named twice")):
        wrong(said, {"process_gpus": text}, {})
    wrong("at most 1024", {"process_gpus": ",".join(map(str, range(1025)))}, {})


def test_a_wrong_secret_is_not_shown(tmp_path: Path) -> None:
    file = write(tmp_path / "zoe.toml", "token = 12345\n")
    assert "12345" not in wrong("token: this value is not allowed", {}, {}, file)


def test_a_broken_file_says_where(tmp_path: Path) -> None:
    file = write(tmp_path / "zoe.toml", "policy = \n")
    wrong(f"{file}:1:10: this is not TOML", {}, {}, file)
    folder = tmp_path / "folder"
    folder.mkdir()
    wrong("folder: it cannot be read", {}, {}, folder)


def test_zoe_can_be_used_inside_an_instance() -> None:
    environ = {
        "ZOE_EXECUTION_ID": "1",
        "ZOE_HOSTS_SPARK_WORKER": "127.0.0.1",
        "ZOE_PROXY_PATH_8080": "/x",
        "ZOE_DEPLOYMENT": "lab",
        "ZOE_TEST_REQUIRE": "postgres",
    }
    settings, _ = load_settings({}, environ, [])
    assert settings.deployment == "lab"


def test_a_child_process_reads_the_same_settings(tmp_path: Path) -> None:
    settings, _ = load_settings(
        {"data_dir": tmp_path, "process_cores": 2.5, "process_shared": True, "token": "zoe_x"},
        {},
        [],
    )
    environ = to_environment(settings)
    assert "zoe_x" not in environ.values()
    again, _ = load_settings({"token": "zoe_x"}, environ, [])
    assert again == settings


def test_every_setting_has_an_explanation() -> None:
    assert explanations().keys() == Settings.model_fields.keys()
    assert all(text.endswith(".") for text in explanations().values())
