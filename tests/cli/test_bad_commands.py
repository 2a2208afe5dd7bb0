"""Whatever is wrong with a command: an exit code, a reason without a traceback, nothing changed."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from shell import Shell, opened

from api_serving import BROKEN, DASK

ONE_CORE = DASK.replace("{type: integer, default: 3, min: 0, max: 32}", "{type: integer}")
FILES = {
    "dask.yaml": DASK,
    "broken.yaml": BROKEN,
    "undecided.yaml": ONE_CORE,
    "empty.yaml": "",
    "list.yaml": "- 1\n- 2\n",
    "unclosed.yaml": "zoe: 4\nname: [x\n",
    "future.yaml": DASK.replace("zoe: 4", "zoe: 99"),
    "cut.json": '{"zoe": 4, "name": ',
    "twice.yaml": DASK.replace("kind: batch\n", "kind: batch\nkind: batch\n"),
    "huge.yaml": DASK + "#" * 2_000_000,
}
USAGE, NOT_ALLOWED, NOT_FOUND, REJECTED, CONFLICT, UNREACHABLE = 2, 3, 4, 5, 6, 7


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asked(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shell]:
    """A shell in a folder full of bad files, with two executions whose names begin alike.

    One for all tests: they see that nothing changes.
    """
    async with opened(tmp_path_factory.mktemp("asked")) as shell:
        await fill(shell)
        yield shell


async def fill(shell: Shell) -> None:
    for name, text in FILES.items():
        shell.write(name, text)
    (shell.folder / "picture.yaml").write_bytes(b"\x89PNG\r\n\x1a\n\xff\x00")
    (shell.folder / "folder.yaml").mkdir()
    (shell.folder / "loop.yaml").symlink_to("loop.yaml")
    for name in ("night-1", "night-2"):
        await shell.zoe("submit", "dask.yaml", "--name", name)
    await shell.api.master.run(1)


async def everything(shell: Shell) -> object:
    """Return all that a command could have changed."""
    store = shell.api.store
    return [await store.get(id) for id in (1, 2)], await store.history(None), await store.counts()


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("", USAGE, "Usage: zoe"),
        ("fly", USAGE, "No such command 'fly'"),
        ("ps --colour", USAGE, "No such option: --colour"),
        ("ps extra", USAGE, "extra"),
        ("ps -o xml", USAGE, "'xml' is not one of"),
        ("ps --limit 0", USAGE, "'--limit': Input should be greater"),
        ("ps --limit many", USAGE, "'--limit': Input should be a valid integer"),
        ("submit", USAGE, "Missing argument"),
        ("submit dask.yaml --set workers", USAGE, "NAME=VALUE"),
        ("submit dask.yaml --set =3", USAGE, "NAME=VALUE"),
        ("scale night-1", USAGE, "Missing argument"),
        ("scale night-1 dask.worker", USAGE, "SERVICE=N"),
        ("scale night-1 dask.worker=-1", USAGE, "SERVICE=N"),
        ("scale night-1 dask.worker=two", USAGE, "SERVICE=N"),
        ("scale night-1 dask.worker=1.5", USAGE, "SERVICE=N"),
        ("scale night-1 =2", USAGE, "SERVICE=N"),
        ("scale night-1 dask.worker=..", USAGE, "MIN..MAX"),
        ("scale night-1 dask.worker=1..", USAGE, "MIN..MAX"),
        ("scale night-1 dask.worker=..3", USAGE, "MIN..MAX"),
        ("scale night-1 dask.worker=1..2..3", USAGE, "MIN..MAX"),
        ("scale night-1 dask.worker=3..1", USAGE, "the minimum is above the maximum"),
        ("scale night-1 dask.worker=1 oops", USAGE, "SERVICE=N"),
        ("wait night-1 --timeout -1", USAGE, "'--timeout': Input should be greater"),
        ("wait night-1 --timeout nan", USAGE, "'--timeout': Input"),
        ("wait night-1 --timeout soon", USAGE, "'--timeout': Input should be a valid number"),
        ("logs night-1 --tail -1", USAGE, "'--tail': Input should be greater"),
        ("up --port 99999", USAGE, "'--port': Input should be less than or equal to 65535"),
        ("up --port http", USAGE, "'--port': Input should be a valid integer"),
        ("config show --output nothing", USAGE, "'nothing' is not one of"),
        ("--url= ps", USAGE, "must not be empty"),
        ("--token= ps", USAGE, "must not be empty"),
        ("--data-dir broken.yaml ps", USAGE, "is a file"),
        ("--token zoe_wrong ps", NOT_ALLOWED, "token"),
        ("--token zoe_wrong submit dask.yaml", NOT_ALLOWED, "token"),
        ("--token zoe_wrong stop night-1", NOT_ALLOWED, "token"),
        ("--token zoe_wrong scale night-1 dask.worker=1", NOT_ALLOWED, "token"),
        ("--token zoe_wrong logs -f night-1", NOT_ALLOWED, "token"),
        ("submit nothing.yaml", NOT_FOUND, "cannot be read: No such file"),
        ("submit ./folder.yaml", NOT_FOUND, "cannot be read: Is a directory"),
        ("submit picture.yaml", NOT_FOUND, "it is not UTF-8 text"),
        ("submit loop.yaml", NOT_FOUND, "cannot be read"),
        ("submit no-such-application", NOT_FOUND, "neither a file nor an application"),
        ("show nobody", NOT_FOUND, "nobody"),
        ("show 4711", NOT_FOUND, "4711"),
        ("show 99999999999999999999", NOT_FOUND, "99999999999999999999"),
        ("show ../nodes", NOT_FOUND, "../nodes"),
        ("show NIGHT-1", NOT_FOUND, "NIGHT-1"),
        ("why nobody", NOT_FOUND, "nobody"),
        ("logs nobody", NOT_FOUND, "nobody"),
        ("logs -f nobody", NOT_FOUND, "nobody"),
        ("events nobody", NOT_FOUND, "nobody"),
        ("stop nobody", NOT_FOUND, "nobody"),
        ("rm nobody", NOT_FOUND, "nobody"),
        ("wait nobody", NOT_FOUND, "nobody"),
        ("scale nobody dask.worker=1", NOT_FOUND, "nobody"),
        ("submit broken.yaml", REJECTED, "broken.yaml:8:9: frameworks.dask.services"),
        ("submit empty.yaml", REJECTED, "empty.yaml"),
        ("submit list.yaml", REJECTED, "list.yaml:1:1"),
        ("submit unclosed.yaml", REJECTED, "unclosed.yaml:3:1"),
        (
            "submit future.yaml",
            REJECTED,
            "future.yaml:1:6: zoe: this is format 99; this reads format 4",
        ),
        ("submit cut.json", REJECTED, "cut.json:1"),
        ("submit twice.yaml", REJECTED, "twice.yaml:4:1"),
        ("submit huge.yaml", REJECTED, "at most 1048576 bytes"),
        ("submit undecided.yaml", REJECTED, "workers"),
        ("submit dask.yaml --set workers=99", REJECTED, "workers"),
        ("submit dask.yaml --set workers=some", REJECTED, "workers"),
        ("submit dask.yaml --set worker=1", REJECTED, "did you mean workers"),
        ("submit dask.yaml --name Night", REJECTED, "name: use 1 to 63 lower-case letters"),
        ("submit dask.yaml --name 17", REJECTED, "name"),
        ("validate broken.yaml dask.yaml", REJECTED, "dask.yaml: wordcount is valid"),
        ("plan broken.yaml", REJECTED, "broken.yaml:8:9"),
        ("scale night-1 dask.scheduler=2", REJECTED, "dask.scheduler"),
        ("scale night-1 dask.nobody=2", REJECTED, "dask.nobody"),
        ("scale night-1 dask.worker=90..99", REJECTED, "application declares"),
        ("scale night-1 dask.worker=999999", REJECTED, "elastic: Input should be less"),
        ("logs night-1 dask.nobody", REJECTED, "dask.nobody"),
        ("show night", CONFLICT, "night-1"),
        ("stop night", CONFLICT, "night-2"),
        ("rm --yes night", CONFLICT, "night-2"),
        ("scale night dask.worker=1", CONFLICT, "night-1"),
        ("wait night", CONFLICT, "night-1"),
        ("plan dask.yaml", UNREACHABLE, "master"),
        ("--url http://127.0.0.1:1 ps", UNREACHABLE, "cannot be reached"),
        ("--url http://127.0.0.1:1 submit dask.yaml", UNREACHABLE, "cannot be reached"),
        ("--url http://nowhere.invalid ps", UNREACHABLE, "nowhere.invalid"),
        ("--url ftp://127.0.0.1 ps", UNREACHABLE, "ftp://127.0.0.1"),
    ],
)
async def test_what_is_wrong_is_said_and_changes_nothing(
    asked: Shell, line: str, code: int, said: str
) -> None:
    before = await everything(asked)
    told = await asked.zoe(*line.split(), code=code)
    assert said in told, told
    assert "Traceback" not in told
    assert len(told) < 4000, "an error is read by people"
    assert await everything(asked) == before


async def test_a_file_that_may_not_be_read(asked: Shell) -> None:
    told = await asked.zoe("submit", "/proc/1/mem", code=NOT_FOUND)
    assert "cannot be read" in told


async def test_several_counts_are_set_together_or_not_at_all(asked: Shell) -> None:
    before = await everything(asked)
    await asked.zoe("scale", "night-1", "dask.worker=1", "dask.scheduler=1", code=REJECTED)
    await asked.zoe("scale", "night-1", "dask.worker=1", "dask.worker=999999", code=REJECTED)
    await asked.zoe("scale", "night-1", "dask.worker=100", "dask.worker=90..99", code=REJECTED)
    assert await everything(asked) == before


async def test_several_executions_are_ended_together_or_not_at_all(asked: Shell) -> None:
    before = await everything(asked)
    await asked.zoe("stop", "night-1", "nobody", code=NOT_FOUND)
    await asked.zoe("rm", "--yes", "night-1", "night", code=CONFLICT)
    assert await everything(asked) == before


async def test_settings_that_are_wrong_stop_every_command(
    asked: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOE_API_PORT", "none")
    for command in ("ps", "up", "down"):
        assert "ZOE_API_PORT" in await asked.zoe(command, code=USAGE)
    monkeypatch.delenv("ZOE_API_PORT")
    monkeypatch.setenv("ZOE_API_PROT", "1")
    assert "did you mean" in await asked.zoe("ps", code=USAGE)


async def test_a_folder_that_cannot_be_made(asked: Shell) -> None:
    inside = asked.folder / "dask.yaml" / "data"
    told = await asked.zoe("--data-dir", str(inside), "up", code=1)
    assert f"the folder {inside} cannot be made" in told
