"""``zoe node``: machines in and out of service."""

from shell import Shell

from api_serving import DASK, machines


async def test_a_machine_is_taken_out_of_service_and_back(shell: Shell) -> None:
    await shell.api.master.nodes(*machines())
    await shell.zoe("submit", shell.write("dask.yaml", DASK))
    await shell.api.master.run(1, elastic=1)
    said = await shell.zoe("node", "drain", "node-1", "--reason", "new disk")
    assert said.startswith("node-1 is draining: ")
    assert "essential instance" in said
    (mark,) = await shell.api.store.marks.read()
    assert (mark.name, str(mark.status), mark.by) == ("node-1", "draining", "admin")
    assert "node-2 is cordoned: " in await shell.zoe("node", "cordon", "node-2")
    assert "node-1 is ready: " in await shell.zoe("node", "uncordon", "node-1")
    assert [mark.name for mark in await shell.api.store.marks.read()] == ["node-2"]
    assert await shell.zoe("node", "ls") == await shell.zoe("nodes")
    said = await shell.zoe("node", "drain", "nod-1", code=4)
    assert "There is no node 'nod-1'" in said
    assert "node-1" in said
