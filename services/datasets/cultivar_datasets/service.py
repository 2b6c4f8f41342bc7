"""The datasets servicer."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import grpc
from cultivar.artifact.v1 import artifact_pb2
from cultivar.audit.v1 import audit_pb2
from cultivar.datasets.v1 import datasets_pb2 as pb
from cultivar.datasets.v1 import datasets_pb2_grpc as pb_grpc
from cultivar_artifacts import ArtifactStore, Manifest, load_manifest
from cultivar_artifacts.collect import GRACE, collect_garbage
from cultivar_artifacts.tables import Committed, list_manifests
from cultivar_service.audit import record_change
from cultivar_service.audit_codec import encode_report
from cultivar_service.database import Database
from cultivar_service.engine import Engine
from cultivar_service.errors import FailedPrecondition, InvalidArgument
from cultivar_service.names import check_id, project_of, resource_name, split_name
from cultivar_service.paging import encode_token, page_size
from cultivar_service.principal import current_principal
from cultivar_service.runs import SUCCEEDED, Run, Runs

from cultivar_datasets import codec, store
from cultivar_datasets.checks import Checks
from cultivar_datasets.diff import diff
from cultivar_datasets.errors import FileUnknown
from cultivar_datasets.files import Files, pick_file
from cultivar_datasets.selectors import SELECTORS
from cultivar_datasets.trace import Tracer, is_example_id

Context = grpc.aio.ServicerContext[Any, Any]
MOST_PAGE_BYTES = 2 << 20


class DatasetsServicer(pb_grpc.DatasetsServiceServicer):
    """Decodes a request, calls, and encodes the answer."""

    def __init__(
        self, database: Database, artifacts: ArtifactStore, files: Files, engine: Engine, imports: Runs, versions: Runs
    ) -> None:
        self._database = database
        self._artifacts = artifacts
        self._files = files
        self._engine = engine
        self._imports = imports
        self._versions = versions
        self._tracer = Tracer(database, artifacts)
        self._checks = Checks(database, artifacts)

    async def UploadFile(self, requests: AsyncIterator[pb.UploadFileRequest], context: Context) -> pb.UploadedFile:
        """Takes a file in."""
        first = await anext(requests)
        project, announced = project_of(first.parent, "parent"), codec.decode_announced(first)

        async def chunks() -> AsyncIterator[bytes]:
            yield first.chunk
            async for request in requests:
                yield request.chunk

        return codec.encode_file(await self._files.receive(current_principal.get(), project, announced, chunks()))

    async def GetUpload(self, request: pb.GetUploadRequest, context: Context) -> pb.Upload:
        """Says how much of an upload was received."""
        project, sha256 = split_name(request.name, "uploads")
        received = await self._files.received(project, sha256)
        stored = await self._files.find(project, sha256)
        if stored is not None:
            file = resource_name(project, "files", sha256)
            return pb.Upload(name=request.name, received=stored.size, file=file)
        return pb.Upload(name=request.name, received=received)

    async def GetFile(self, request: pb.GetFileRequest, context: Context) -> pb.UploadedFile:
        """Returns a file that was uploaded."""
        project, sha256 = split_name(request.name, "files")
        async with self._database.begin() as connection:
            return codec.encode_file(await store.get_file(connection, project, sha256))

    async def DownloadArtifact(
        self, request: pb.DownloadArtifactRequest, context: Context
    ) -> AsyncIterator[pb.DownloadArtifactResponse]:
        """Streams one file of an artifact."""
        row, manifest = await self._artifact(request.name, "name")
        file = pick_file(manifest, request.file)
        pieces = self._files.send(row.project, file, request.offset)
        yield pb.DownloadArtifactResponse(file=codec.encode_part(file))
        async for piece in pieces:
            yield pb.DownloadArtifactResponse(chunk=piece)

    async def _artifact(self, name: str, field: str) -> tuple[Committed, Manifest]:
        project, digest = split_name(name, "artifacts", field)
        async with self._database.begin() as connection:
            row = await store.get_artifact(connection, project, digest)
        return row, await load_manifest(self._artifacts, project, digest)

    async def GetArtifact(self, request: pb.GetArtifactRequest, context: Context) -> artifact_pb2.Artifact:
        """Returns an artifact."""
        return codec.encode_artifact(*await self._artifact(request.name, "name"))

    async def ListArtifacts(self, request: pb.ListArtifactsRequest, context: Context) -> pb.ListArtifactsResponse:
        """Lists the artifacts of a project."""
        project, size = project_of(request.parent, "parent"), page_size(request.page_size)
        async with self._database.begin() as connection:
            before = await store.page_of_artifacts(connection, project, request.page_token)
            rows = await list_manifests(connection, project, request.kind or None, before=before, limit=size + 1)
        page = pb.ListArtifactsResponse()
        for row in rows[:size]:
            manifest = await load_manifest(self._artifacts, project, row.digest)
            page.artifacts.append(codec.encode_artifact(row, manifest))
            # Artifacts of many files would grow past what one message may hold; the page is then shorter.
            if page.ByteSize() > MOST_PAGE_BYTES:
                break
        if len(page.artifacts) < len(rows):
            page.next_page_token = encode_token(rows[len(page.artifacts) - 1].digest, "artifacts")
        return page

    async def ImportExamples(self, request: pb.ImportExamplesRequest, context: Context) -> pb.ImportRun:
        """Creates an import run."""
        project = project_of(request.parent, "parent")
        owner, sha256 = split_name(request.spec.file, "files", "spec.file")
        if owner != project:
            raise FileUnknown(request.spec.file)
        async with self._database.begin() as connection:
            spec = codec.decode_import(project, request.spec, await store.get_file(connection, project, sha256))
            for digest in spec.apart_from:
                await store.get_artifact(connection, project, digest)
        run = await self._create(self._imports, project, request.request_id, spec.model_dump(mode="json"))
        return codec.encode_import_run(run)

    async def _create(self, runs: Runs, project: str, request_id: str, spec: dict[str, Any]) -> Run:
        run = await runs.create(current_principal.get(), project, request_id, spec)
        self._engine.nudge()
        return run

    async def GetImportRun(self, request: pb.GetImportRunRequest, context: Context) -> pb.ImportRun:
        """Returns an import run."""
        return codec.encode_import_run(await self._imports.get(*split_name(request.name, self._imports.collection)))

    async def ListImportRuns(self, request: pb.ListImportRunsRequest, context: Context) -> pb.ListImportRunsResponse:
        """Lists the import runs of a project."""
        project = project_of(request.parent, "parent")
        page = await self._imports.list(project, page_size(request.page_size), request.page_token)
        runs = [codec.encode_import_run(run, whole=False) for run in page.items]
        return pb.ListImportRunsResponse(import_runs=runs, next_page_token=page.next_page_token)

    async def WatchImportRun(self, request: pb.WatchImportRunRequest, context: Context) -> AsyncIterator[pb.ImportRun]:
        """Streams an import run until it ends."""
        async for run in self._imports.watch(*split_name(request.name, self._imports.collection)):
            yield codec.encode_import_run(run)

    async def CancelImportRun(self, request: pb.CancelImportRunRequest, context: Context) -> pb.ImportRun:
        """Cancels an import run."""
        name = split_name(request.name, self._imports.collection)
        return codec.encode_import_run(await self._imports.cancel(current_principal.get(), *name))

    async def CreateDatasetVersion(
        self, request: pb.CreateDatasetVersionRequest, context: Context
    ) -> pb.DatasetVersion:
        """Creates the next version of a dataset."""
        project = project_of(request.parent, "parent")
        spec = codec.decode_version(project, check_id(request.dataset_id, "dataset_id"), request.spec)
        async with self._database.begin() as connection:
            for digest in spec.parents:
                await store.get_artifact(connection, project, digest)
        run = await self._create(self._versions, project, request.request_id, spec.model_dump(mode="json"))
        async with self._database.begin() as connection:
            number = await store.number_version(connection, project, spec.dataset, run.id)
        return codec.encode_version(store.Version(spec.dataset, number, run))

    async def _version(self, name: str, field: str = "name") -> store.Version:
        project, dataset, number = codec.split_version(name, field)
        async with self._database.begin() as connection:
            return await store.get_version(connection, project, dataset, number)

    async def GetDatasetVersion(self, request: pb.GetDatasetVersionRequest, context: Context) -> pb.DatasetVersion:
        """Returns a dataset version."""
        return codec.encode_version(await self._version(request.name))

    async def ListDatasetVersions(
        self, request: pb.ListDatasetVersionsRequest, context: Context
    ) -> pb.ListDatasetVersionsResponse:
        """Lists the versions of one dataset or of all."""
        project, dataset = codec.split_versions_parent(request.parent)
        size = page_size(request.page_size)
        async with self._database.begin() as connection:
            page = await store.list_versions(connection, project, dataset, size, request.page_token)
        versions = [codec.encode_version(version, whole=False) for version in page.items]
        return pb.ListDatasetVersionsResponse(dataset_versions=versions, next_page_token=page.next_page_token)

    async def WatchDatasetVersion(
        self, request: pb.WatchDatasetVersionRequest, context: Context
    ) -> AsyncIterator[pb.DatasetVersion]:
        """Streams a dataset version until its run ends."""
        version = await self._version(request.name)
        async for run in self._versions.watch(version.run.project, version.run.id):
            yield codec.encode_version(store.Version(version.dataset, version.number, run))

    async def CancelDatasetVersion(
        self, request: pb.CancelDatasetVersionRequest, context: Context
    ) -> pb.DatasetVersion:
        """Cancels the making of a dataset version."""
        version = await self._version(request.name)
        run = await self._versions.cancel(current_principal.get(), version.run.project, version.run.id)
        return codec.encode_version(store.Version(version.dataset, version.number, run))

    async def DiffDatasetVersions(self, request: pb.DiffDatasetVersionsRequest, context: Context) -> pb.DatasetDiff:
        """Says how two versions differ."""
        project = project_of(request.name)
        if project_of(request.other, "other") != project:
            raise InvalidArgument("other must be a version of the same project as name", field="other")
        first, second = await self._made(request.name, "name"), await self._made(request.other, "other")
        return codec.encode_diff(await diff(self._artifacts, first, second))

    async def _made(self, name: str, field: str) -> Manifest:
        version = await self._version(name, field)
        if version.run.state != SUCCEEDED:
            raise FailedPrecondition(f"{name} is {version.run.state}: only versions that succeeded can be compared")
        return await load_manifest(self._artifacts, version.run.project, version.run.result["artifact"])

    async def ListSelectors(self, request: pb.ListSelectorsRequest, context: Context) -> pb.ListSelectorsResponse:
        """Lists the selectors."""
        return pb.ListSelectorsResponse(selectors=[codec.encode_selector(name) for name in sorted(SELECTORS)])

    async def TraceExample(self, request: pb.TraceExampleRequest, context: Context) -> pb.Trace:
        """Follows an example back and forward."""
        project = project_of(request.parent, "parent")
        if not is_example_id(request.example_id):
            raise InvalidArgument("example_id must be 32 lower-case hexadecimal digits", field="example_id")
        return codec.encode_trace(project, await self._tracer.trace(project, request.example_id))

    async def CollectGarbage(self, request: pb.CollectGarbageRequest, context: Context) -> pb.CollectGarbageResponse:
        """Removes stored bytes that no artifact names."""
        project = project_of(request.parent, "parent")
        grace: timedelta = request.grace.ToTimedelta() if request.HasField("grace") else GRACE
        if grace < timedelta(0):
            raise InvalidArgument("grace must not be negative", field="grace")
        async with self._database.begin() as connection:
            collected = await collect_garbage(connection, self._artifacts, project, grace)
            await record_change(connection, current_principal.get(), project, "collect garbage", f"projects/{project}")
        return pb.CollectGarbageResponse(
            blobs=collected.blobs, bytes=collected.bytes, documents=collected.documents, complete=collected.complete
        )

    async def Audit(self, request: audit_pb2.AuditRequest, context: Context) -> audit_pb2.AuditReport:
        """Checks what the service holds of a project."""
        findings, counts = await self._checks.audit(project_of(request.parent, "parent"))
        return encode_report("datasets", findings, counts)
