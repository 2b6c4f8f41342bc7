"""The datasets service over real gRPC, Postgres and files, and the few calls that every test of it makes."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cultivar.datasets.v1 import datasets_pb2 as pb
from cultivar.datasets.v1 import datasets_pb2_grpc
from cultivar.example.v1 import example_pb2
from cultivar.run.v1 import run_pb2
from cultivar_artifacts import ArtifactStore, Manifest, load_manifest, read_shards
from cultivar_datasets.__main__ import build
from cultivar_datasets.settings import DatasetsSettings
from cultivar_records import Example, from_table
from cultivar_service.parts import Parts, Service
from cultivar_service.serving import Host

from tests.conftest import Start

PARENT = "projects/default"
LABELS = ("refund", "delivery")
TASK = example_pb2.Task(kind=example_pb2.TASK_KIND_CLASSIFICATION, labels=LABELS)
FAMOUS = ["lamp", "vase", "chair", "mirror", "kettle", "bowl", "shelf", "carpet", "clock", "stool"]


def lines(count: int, offset: int = 0) -> bytes:
    """Rows of two labels that no two say the same."""
    rows = []
    for number in range(offset, offset + count):
        thing, label = FAMOUS[number % len(FAMOUS)], LABELS[number % 2]
        rows.append({"text": f"the {thing} of order {number} is about a {label} case {number * 7}", "label": label})
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def pieces(data: bytes, size: int = 1 << 20) -> list[bytes]:
    """Bytes in pieces."""
    return [data[start : start + size] for start in range(0, len(data), size)]


async def stream(
    data: bytes, *, parent: str = PARENT, offset: int = 0, announce: bytes | None = None, **header: Any
) -> AsyncIterator[pb.UploadFileRequest]:
    """An upload of `data` from an offset on; `announce` is the whole file where it is another."""
    whole = data if announce is None else announce
    known = {"sha256": hashlib.sha256(whole).hexdigest(), "size": len(whole), **header}
    yield pb.UploadFileRequest(parent=parent, offset=offset, **known)
    for piece in pieces(data[offset:]):
        yield pb.UploadFileRequest(chunk=piece)


@dataclass
class Served:
    """The running service."""

    host: Host
    stub: Any
    spool: Path

    @property
    def store(self) -> ArtifactStore:
        """Its artifact store."""
        assert self.host.parts is not None
        return self.host.parts.store

    async def upload(self, data: bytes, **header: Any) -> pb.UploadedFile:
        """Uploads a file whole."""
        return await self.stub.UploadFile(stream(data, **header))

    async def create_import(self, data: bytes, **spec: Any) -> pb.ImportRun:
        """Uploads a file and creates its import."""
        file = await self.upload(data)
        asked = pb.ImportSpec(**{"file": file.name, "task": TASK, **spec})
        return await self.stub.ImportExamples(pb.ImportExamplesRequest(parent=PARENT, spec=asked))

    async def import_rows(self, data: bytes, **spec: Any) -> pb.ImportRun:
        """Imports a file and waits for the end."""
        run = await self.create_import(data, **spec)
        async for change in self.stub.WatchImportRun(pb.WatchImportRunRequest(name=run.name)):
            run = change
        return run

    async def seeds(self, data: bytes, kind: str = "seeds", **spec: Any) -> str:
        """Imports a file that must be good, and returns the artifact's name."""
        run = await self.import_rows(data, splits=[pb.SplitShare(kind=kind)], **spec)
        assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
        return run.artifacts[kind]

    async def make_version(self, dataset: str = "support", **spec: Any) -> pb.DatasetVersion:
        """Creates a dataset version and waits for the end."""
        request = pb.CreateDatasetVersionRequest(parent=PARENT, dataset_id=dataset, spec=pb.DatasetSpec(**spec))
        version = await self.stub.CreateDatasetVersion(request)
        async for change in self.stub.WatchDatasetVersion(pb.WatchDatasetVersionRequest(name=version.name)):
            version = change
        return version

    async def manifest(self, name: str) -> Manifest:
        """Reads a manifest by its artifact's name."""
        return await load_manifest(self.store, name.split("/")[1], name.split("/")[-1])

    async def examples(self, name: str) -> list[Example]:
        """Reads the examples of an artifact."""
        manifest = await self.manifest(name)
        return [example async for table in read_shards(self.store, manifest) for example in from_table(table)]

    async def rows(self, name: str) -> list[dict[str, Any]]:
        """Reads the rows of an artifact as they are."""
        return [row async for table in read_shards(self.store, await self.manifest(name)) for row in table.to_pylist()]


def source(name: str, role: "pb.SourceRole.ValueType" = pb.SOURCE_ROLE_REAL, **more: Any) -> pb.Source:
    """One source of a version."""
    return pb.Source(artifact=name, role=role, **more)


Prepare = Callable[[Parts], None]


@pytest.fixture
def serve(start: Start, tmp_path: Path) -> Callable[..., Any]:
    """Starts the service with its spool in the test's folder; `prepare` may change its parts, the rest its settings."""

    async def serve(prepare: Prepare = lambda parts: None, **changed: Any) -> Served:
        own = DatasetsSettings(**{"datasets_spool": tmp_path / "spool", **changed})

        async def prepared(parts: Parts) -> Service:
            prepare(parts)
            return await partial(build, settings=own)(parts)

        host = await start(prepared)
        assert host.parts is not None
        return Served(host, datasets_pb2_grpc.DatasetsServiceStub(host.parts.channel), own.datasets_spool)

    return serve


@pytest.fixture
async def served(serve: Callable[..., Any]) -> Served:
    """The running service."""
    started: Served = await serve()
    return started


def labels_of(examples: Sequence[Example]) -> set[str | None]:
    """The labels that some examples have."""
    return {example.label for example in examples}
