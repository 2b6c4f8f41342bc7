"""kill -9 in the middle of an import and of a version: each goes on where it was and gives what it would have given."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from cultivar.audit.v1 import audit_pb2
from cultivar.connection import Connection
from cultivar.datasets.v1 import datasets_pb2 as pb
from cultivar.datasets.v1 import datasets_pb2_grpc
from cultivar.run.v1 import run_pb2
from cultivar_artifacts import load_manifest, open_store, read_shards
from cultivar_service.peers import open_channel

from tests.integration.datasets.conftest import PARENT, TASK, lines, source, stream
from tests.processes import Server

ROWS = 6_000


def open_stub(connection: Connection) -> Any:
    return datasets_pb2_grpc.DatasetsServiceStub(open_channel(connection.address, connection.token))


async def watch(stub: Any, kind: str, name: str, until: int) -> Any:
    """Follows a run until it has done so much or has ended."""
    async with asyncio.timeout(60):
        while True:
            resource = await getattr(stub, f"Get{kind}")(getattr(pb, f"Get{kind}Request")(name=name))
            begun = resource.run.HasField("start_time") and resource.run.progress.done >= until
            if resource.run.HasField("end_time") or begun:
                return resource
            await asyncio.sleep(0.02)


async def test_a_killed_import_and_a_killed_version_give_what_they_would_have_given(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CULTIVAR_DATASETS_SPOOL", str(tmp_path / "spool"))
    (tmp_path / "data").mkdir()
    artifacts = str(tmp_path / "artifacts")
    server = Server(tmp_path / "data", "--only", "datasets", "--database-url", database_url, "--artifacts", artifacts)
    stub = open_stub(await server.start())

    async def killed(kind: str, name: str, until: int) -> Any:
        resource = await watch(stub, kind, name, until)
        assert resource.run.state == run_pb2.RUN_STATE_RUNNING
        await server.kill()
        again = open_stub(await server.start())
        resource = await watch(again, kind, name, 1 << 60)
        assert resource.run.state == run_pb2.RUN_STATE_SUCCEEDED, resource.run.error
        assert resource.run.attempt > 1
        return again, resource

    file = await stub.UploadFile(stream(lines(ROWS)))
    spec = pb.ImportSpec(file=file.name, task=TASK)
    run = await stub.ImportExamples(pb.ImportExamplesRequest(parent=PARENT, spec=spec))
    stub, run = await killed("ImportRun", run.name, ROWS // 4)
    assert dict(run.run.progress.counts) == {"examples": ROWS, "bad": 0, "seeds": ROWS}
    seeds = await ids(artifacts, run.artifacts["seeds"])
    assert len(seeds) == len(set(seeds)) == ROWS

    wanted = pb.DatasetSpec(sources=[source(run.artifacts["seeds"])], budget=ROWS // 2)
    request = pb.CreateDatasetVersionRequest(parent=PARENT, dataset_id="big", spec=wanted)
    version = await stub.CreateDatasetVersion(request)
    stub, version = await killed("DatasetVersion", version.name, 0)
    whole = await stub.CreateDatasetVersion(request)
    whole = await watch(stub, "DatasetVersion", whole.name, 1 << 60)
    assert await ids(artifacts, version.artifact) == await ids(artifacts, whole.artifact)
    assert version.examples == ROWS // 2
    report = await stub.Audit(audit_pb2.AuditRequest(parent=PARENT))
    assert [finding.check for finding in report.findings if not finding.holds] == []
    assert await server.stop() == 0


async def ids(artifacts: str, name: str) -> list[str]:
    """Reads the ids of an artifact, in its order."""
    store = open_store(artifacts)
    manifest = await load_manifest(store, "default", name.split("/")[-1])
    return [example async for table in read_shards(store, manifest) for example in table["id"].to_pylist()]
