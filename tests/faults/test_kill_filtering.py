"""kill -9 in the middle of a filter run, of its process or of its worker: it goes on, and keeps the same examples."""

from pathlib import Path
from typing import Any

import psutil
from cultivar.filtering.v1 import filtering_pb2 as pb
from cultivar.filtering.v1 import filtering_pb2_grpc
from cultivar.run.v1 import run_pb2
from cultivar_artifacts import open_store
from cultivar_service.migration import make_artifact_schema
from cultivar_service.peers import open_channel

from tests.integration.filtering.crowd import PARENT, crowd, files, finish, until
from tests.processes import Server
from tests.seeds import TASK, commit_examples
from tests.whole import ends_whole

# Several seconds of work, of which the kill falls after the first third.
ROWS = 9_000
DUPLICATES = [pb.FilterUse(filter="exact_duplicate"), pb.FilterUse(filter="near_duplicate")]


async def test_a_run_whose_worker_or_process_was_killed_keeps_what_a_whole_one_keeps(
    database_url: str, tmp_path: Path
) -> None:
    store = open_store(str(tmp_path / "artifacts"))
    await make_artifact_schema(database_url)
    name = await commit_examples(database_url, store, crowd(ROWS), "candidates")
    flags = ("--only", "filtering", "--database-url", database_url, "--artifacts", str(tmp_path / "artifacts"))
    (tmp_path / "data").mkdir()
    server = Server(tmp_path / "data", *flags)
    stub = await connect(server)
    spec = pb.FilterSpec(examples=name, task=TASK, filters=DUPLICATES)
    run = await stub.CreateFilterRun(pb.CreateFilterRunRequest(parent=PARENT, spec=spec))
    await until(stub, run, 1_024)
    await server.kill()
    stub = await connect(server)
    killed = await finish(stub, run)
    run = await stub.CreateFilterRun(pb.CreateFilterRunRequest(parent=PARENT, spec=spec))
    await until(stub, run, 1_024)
    assert server.process is not None
    for child in psutil.Process(server.process.pid).children():
        if "spawn_main" in " ".join(child.cmdline()):
            child.kill()
    workless = await finish(stub, run)
    whole = await finish(stub, await stub.CreateFilterRun(pb.CreateFilterRunRequest(parent=PARENT, spec=spec)))
    assert [run.run.state for run in (killed, workless, whole)] == [run_pb2.RUN_STATE_SUCCEEDED] * 3
    assert killed.run.attempt > 1 == whole.run.attempt
    for kind in ("kept", "rejected", "verdicts"):
        shards = [await files(store, getattr(run, kind)) for run in (killed, workless, whole)]
        assert shards[0] == shards[1] == shards[2], kind
    assert killed.run.progress.counts == whole.run.progress.counts
    assert sum(killed.run.progress.counts[kind] for kind in ("kept", "rejected")) == ROWS
    await ends_whole(server)


async def connect(server: Server) -> Any:
    """Starts a server and opens its filtering service."""
    connection = await server.start()
    return filtering_pb2_grpc.FilteringServiceStub(open_channel(connection.address, connection.token))
