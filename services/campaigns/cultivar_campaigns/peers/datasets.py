"""Datasets: imports, artifacts and dataset versions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from cultivar.datasets.v1 import datasets_pb2 as pb
from cultivar.datasets.v1 import datasets_pb2_grpc
from cultivar_records import TaskSpec
from cultivar_service.calls import call
from cultivar_service.example_codec import encode_task
from cultivar_service.struct_codec import encode_struct

from cultivar_campaigns.peers.child import Child, child_of


@dataclass(frozen=True)
class ImportOrder:
    """A file that is to become examples."""

    file: str
    kind: str
    task: TaskSpec
    apart_from: Sequence[str] = ()
    only_labels: bool = False
    per_label: int = 0
    random_seed: int = 0


@dataclass(frozen=True)
class Origin:
    """One artifact that a dataset version takes examples from; role is real, synthetic, control or replay."""

    artifact: str
    role: str
    limit: int = 0


@dataclass(frozen=True)
class VersionOrder:
    """What a dataset version is to be made of."""

    dataset: str
    sources: Sequence[Origin]
    held_out: Sequence[str]
    selector: str = ""
    params: dict[str, Any] | None = None
    replay_share: float = 0.0
    licences: Sequence[str] = ()
    random_seed: int = 0
    description: str = ""


class Artifacts:
    """What artifacts of any service say of themselves."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = datasets_pb2_grpc.DatasetsServiceStub(channel)

    async def rows(self, name: str) -> int:
        """Returns the number of rows of an artifact; raises NotFound."""
        return int((await call(self._stub.GetArtifact, pb.GetArtifactRequest(name=name))).rows)

    async def check_file(self, name: str) -> None:
        """Raises NotFound where no such file was uploaded."""
        await call(self._stub.GetFile, pb.GetFileRequest(name=name))

    async def selectors(self, parent: str) -> dict[str, list[str]]:
        """Returns the selectors, each with the names of its parameters."""
        found = await call(self._stub.ListSelectors, pb.ListSelectorsRequest(parent=parent))
        return {one.selector: parameters(one.params_schema) for one in found.selectors}


def parameters(schema: Any) -> list[str]:
    """Returns the names of the parameters that a JSON schema has."""
    return list(schema.fields["properties"].struct_value.fields) if "properties" in schema.fields else []


class Imports:
    """Import runs."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = datasets_pb2_grpc.DatasetsServiceStub(channel)

    async def create(self, parent: str, order: ImportOrder, request_id: str) -> Child:
        """Creates an import run."""
        spec = pb.ImportSpec(
            file=order.file,
            task=encode_task(order.task),
            splits=[pb.SplitShare(kind=order.kind)],
            apart_from=order.apart_from,
            only_labels=order.only_labels,
            per_label=order.per_label,
            random_seed=order.random_seed,
        )
        request = pb.ImportExamplesRequest(parent=parent, spec=spec, request_id=request_id)
        return import_child(await call(self._stub.ImportExamples, request))

    async def get(self, name: str) -> Child:
        """Returns an import run."""
        return import_child(await call(self._stub.GetImportRun, pb.GetImportRunRequest(name=name)))

    async def cancel(self, name: str) -> None:
        """Cancels an import run."""
        await call(self._stub.CancelImportRun, pb.CancelImportRunRequest(name=name))


def import_child(run: pb.ImportRun) -> Child:
    """Reads an import run."""
    by_label = dict(run.by_label)
    return child_of(run.name, run.run, dict(run.artifacts), {"by_label": by_label, "rows": sum(by_label.values())})


class DatasetVersions:
    """Dataset versions in the making."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = datasets_pb2_grpc.DatasetsServiceStub(channel)

    async def create(self, parent: str, order: VersionOrder, request_id: str) -> Child:
        """Creates a version of a dataset."""
        spec = pb.DatasetSpec(
            sources=[
                pb.Source(
                    artifact=source.artifact,
                    role=pb.SourceRole.Value(f"SOURCE_ROLE_{source.role.upper()}"),
                    limit=source.limit,
                )
                for source in order.sources
            ],
            selector=pb.SelectorUse(selector=order.selector, params=encode_struct(order.params or {})),
            replay_share=order.replay_share,
            licences=order.licences,
            held_out=order.held_out,
            random_seed=order.random_seed,
            description=order.description,
        )
        request = pb.CreateDatasetVersionRequest(
            parent=parent, dataset_id=order.dataset, spec=spec, request_id=request_id
        )
        return version_child(await call(self._stub.CreateDatasetVersion, request))

    async def get(self, name: str) -> Child:
        """Returns a version of a dataset."""
        return version_child(await call(self._stub.GetDatasetVersion, pb.GetDatasetVersionRequest(name=name)))

    async def cancel(self, name: str) -> None:
        """Cancels the making of a version."""
        await call(self._stub.CancelDatasetVersion, pb.CancelDatasetVersionRequest(name=name))


def version_child(version: pb.DatasetVersion) -> Child:
    """Reads a dataset version."""
    result = {"rows": version.examples, "by_role": dict(version.by_role), "by_label": dict(version.by_label)}
    return child_of(version.name, version.run, {"dataset": version.artifact}, result)
