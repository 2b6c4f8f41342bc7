"""Messages of datasets to and from its own objects."""

from collections.abc import Mapping
from typing import Any

from cultivar.artifact.v1 import artifact_pb2
from cultivar.datasets.v1 import datasets_pb2 as pb
from cultivar_artifacts import File, Manifest
from cultivar_artifacts.tables import Committed
from cultivar_records import UNSTATED
from cultivar_service.artifacts import artifact_digest, artifact_name
from cultivar_service.errors import InvalidArgument
from cultivar_service.example_codec import decode_task, encode_example, encode_task
from cultivar_service.names import project_of, resource_name, split_name
from cultivar_service.run_codec import encode_run, encode_time
from cultivar_service.runs import Run
from cultivar_service.struct_codec import decode_struct, encode_struct
from cultivar_service.translate import invalid
from pydantic import ValidationError

from cultivar_datasets.diff import MOST_IDS, Diff
from cultivar_datasets.errors import SelectorUnknown
from cultivar_datasets.files import Announced
from cultivar_datasets.selectors import DEFAULT, SELECTORS
from cultivar_datasets.specs import ImportSpec, VersionSpec
from cultivar_datasets.store import FileRow, Version
from cultivar_datasets.trace import Traced

SEEDS = "seeds"


def decode_announced(request: pb.UploadFileRequest) -> Announced:
    """Reads the first message of an upload."""
    return Announced(request.sha256, request.size, request.offset, request.file_name)


def encode_file(row: FileRow) -> pb.UploadedFile:
    """Returns the resource of a file."""
    return pb.UploadedFile(
        name=resource_name(row.project, "files", row.sha256),
        sha256=row.sha256,
        size=row.size,
        file_name=row.file_name,
        artifact=artifact_name(row.project, row.artifact),
        create_time=encode_time(row.create_time),
        principal=row.principal,
    )


def encode_part(file: File) -> artifact_pb2.File:
    """Returns one file of an artifact."""
    return artifact_pb2.File(name=file.name, sha256=file.sha256, size=file.size, rows=file.rows)


def encode_artifact(row: Committed, manifest: Manifest) -> artifact_pb2.Artifact:
    """Returns the resource of an artifact."""
    return artifact_pb2.Artifact(
        name=artifact_name(row.project, row.digest),
        kind=row.kind,
        run=row.run,
        rows=row.rows,
        size=sum(file.size for file in manifest.files),
        files=[encode_part(file) for file in manifest.files],
        parents=[artifact_name(row.project, parent) for parent in row.parents],
        config=encode_struct(manifest.config),
        commit_time=encode_time(row.committed_at),
    )


def decode_digests(project: str, names: Any, field: str) -> tuple[str, ...]:
    """Reads a list of artifacts' names."""
    return tuple(artifact_digest(project, name, f"{field}[{place}]") for place, name in enumerate(names))


def decode_import(project: str, spec: pb.ImportSpec, file: FileRow) -> ImportSpec:
    """Resolves what an import is to do; raises InvalidArgument with the path of what is wrong."""
    splits = [{"kind": split.kind, "share": split.share or 1.0} for split in spec.splits]
    try:
        return ImportSpec.model_validate(
            {
                "source": file.sha256,
                "artifact": file.artifact,
                "task": decode_task(spec.task, "spec.task"),
                "splits": splits or [{"kind": SEEDS, "share": 1.0}],
                "all_or_nothing": spec.all_or_nothing,
                "apart_from": decode_digests(project, spec.apart_from, "spec.apart_from"),
                "random_seed": spec.random_seed,
                "only_labels": spec.only_labels,
                "per_label": spec.per_label,
                "unanswered": spec.unanswered,
            }
        )
    except ValidationError as error:
        raise invalid(error, "spec") from error


def encode_import_run(run: Run, *, whole: bool = True) -> pb.ImportRun:
    """Returns the resource of an import run; in a list it is not `whole` and shows no bad rows."""
    spec = ImportSpec.model_validate(run.spec)
    artifacts: Mapping[str, str] = run.result.get("artifacts", {})
    return pb.ImportRun(
        name=resource_name(run.project, "importRuns", run.id),
        run=encode_run(run),
        spec=pb.ImportSpec(
            file=resource_name(run.project, "files", spec.source),
            task=encode_task(spec.task),
            splits=[pb.SplitShare(kind=split.kind, share=split.share) for split in spec.splits],
            all_or_nothing=spec.all_or_nothing,
            apart_from=[artifact_name(run.project, digest) for digest in spec.apart_from],
            random_seed=spec.random_seed,
            only_labels=spec.only_labels,
            per_label=spec.per_label,
            unanswered=spec.unanswered,
        ),
        artifacts={kind: artifact_name(run.project, digest) for kind, digest in artifacts.items()},
        bad_rows=artifact_name(run.project, run.result.get("bad_rows", "")),
        first_bad_rows=[pb.BadRow(**row) for row in run.cursor.get("first_bad", ()) if whole],
        by_label=run.result.get("by_label", {}),
    )


def decode_version(project: str, dataset: str, spec: pb.DatasetSpec) -> VersionSpec:
    """Resolves what a version is to be made of; raises InvalidArgument with the path of what is wrong."""
    name = spec.selector.selector or DEFAULT
    try:
        return VersionSpec.model_validate(
            {
                "dataset": dataset,
                "sources": [decode_source(project, source, place) for place, source in enumerate(spec.sources)],
                "selector": name,
                "params": decode_params(name, spec.selector),
                "budget": spec.budget,
                "replay_share": spec.replay_share,
                "held_out": decode_digests(project, spec.held_out, "spec.held_out"),
                "random_seed": spec.random_seed,
                "description": spec.description,
                "licences": tuple(spec.licences),
            }
        )
    except ValidationError as error:
        raise invalid(error, "spec") from error


def decode_source(project: str, source: pb.Source, place: int) -> dict[str, Any]:
    """Reads one source of a version."""
    field = f"spec.sources[{place}]"
    if source.role == pb.SOURCE_ROLE_UNSPECIFIED:
        raise InvalidArgument(f"{field}.role must be REAL, SYNTHETIC, CONTROL or REPLAY", field=f"{field}.role")
    return {
        "artifact": artifact_digest(project, source.artifact, f"{field}.artifact"),
        "role": pb.SourceRole.Name(source.role).removeprefix("SOURCE_ROLE_").lower(),
        "limit": source.limit,
        "scores": artifact_digest(project, source.scores, f"{field}.scores") if source.scores else "",
    }


def decode_params(name: str, use: pb.SelectorUse) -> dict[str, Any]:
    """Resolves the parameters of a selector through its Config."""
    if name not in SELECTORS:
        raise SelectorUnknown(name, SELECTORS, "spec.selector.selector")
    try:
        return SELECTORS[name].Config.model_validate(decode_struct(use.params)).model_dump(mode="json")
    except ValidationError as error:
        raise invalid(error, "spec.selector.params") from error


def version_name(project: str, version: Version) -> str:
    """Returns the name of a version."""
    return f"projects/{project}/datasets/{version.dataset}/versions/{version.number}"


def split_version(name: str, field: str = "name") -> tuple[str, str, str]:
    """Splits a version's name into project, dataset and number; raises InvalidArgument for another form."""
    parts = name.split("/")
    if len(parts) != 6 or (parts[2], parts[4]) != ("datasets", "versions") or not (parts[3] and parts[5]):
        raise InvalidArgument(
            f"{field} must be projects/PROJECT/datasets/DATASET/versions/NUMBER, got {name[:80]!r}", field=field
        )
    return project_of(name, field), parts[3], parts[5]


def split_versions_parent(parent: str) -> tuple[str, str]:
    """Splits the parent of a list of versions into project and dataset, "" for all of them."""
    if parent.count("/") == 1:
        return project_of(parent, "parent"), ""
    return split_name(parent, "datasets", "parent")


def encode_version(version: Version, *, whole: bool = True) -> pb.DatasetVersion:
    """Returns the resource of a dataset version; in a list it is not `whole` and has no card."""
    run = version.run
    by_source: Mapping[str, int] = run.result.get("by_source", {})
    return pb.DatasetVersion(
        name=version_name(run.project, version),
        run=encode_run(run),
        spec=encode_version_spec(run.project, VersionSpec.model_validate(run.spec)),
        artifact=artifact_name(run.project, run.result.get("artifact", "")),
        examples=run.result.get("examples", 0),
        by_source={artifact_name(run.project, digest): count for digest, count in by_source.items()},
        by_role=run.result.get("by_role", {}),
        by_label=run.result.get("by_label", {}),
        card=run.result.get("card", "") if whole else "",
        by_licence=by_licence(run.result),
    )


def by_licence(result: Mapping[str, Any]) -> Mapping[str, int]:
    """Returns the examples of a version by licence; what teachers wrote before any was kept is unstated."""
    written = result.get("by_role", {}).get("synthetic", 0)
    unknown = {UNSTATED: written} if written else {}
    found: Mapping[str, int] = result.get("by_licence", unknown)
    return found


def encode_version_spec(project: str, spec: VersionSpec) -> pb.DatasetSpec:
    """Returns what a version is to be made of."""
    return pb.DatasetSpec(
        sources=[
            pb.Source(
                artifact=artifact_name(project, source.artifact),
                role=pb.SourceRole.Value(f"SOURCE_ROLE_{source.role.upper()}"),
                limit=source.limit,
                scores=artifact_name(project, source.scores),
            )
            for source in spec.sources
        ],
        selector=pb.SelectorUse(selector=spec.selector, params=encode_struct(spec.params)),
        budget=spec.budget,
        replay_share=spec.replay_share,
        held_out=[artifact_name(project, digest) for digest in spec.held_out],
        random_seed=spec.random_seed,
        description=spec.description,
        licences=spec.licences,
    )


def encode_diff(diff: Diff) -> pb.DatasetDiff:
    """Returns how two versions differ."""
    return pb.DatasetDiff(
        same=diff.same,
        added=len(diff.added),
        removed=len(diff.removed),
        changed=len(diff.changed),
        added_ids=diff.added[:MOST_IDS],
        removed_ids=diff.removed[:MOST_IDS],
        changed_ids=diff.changed[:MOST_IDS],
        by_label=diff.by_label,
    )


def encode_selector(name: str) -> pb.Selector:
    """Returns a selector with its sentence and schema."""
    selector = SELECTORS[name]
    schema = encode_struct(selector.Config.model_json_schema())
    return pb.Selector(selector=name, description=selector.description, params_schema=schema)


def encode_trace(project: str, traced: Traced) -> pb.Trace:
    """Returns where an example came from and where it is."""
    return pb.Trace(
        example=encode_example(traced.held[-1].example),
        seed=encode_example(traced.seed) if traced.seed is not None else None,
        file=encode_file(traced.file) if traced.file is not None else None,
        line=traced.seed.provenance.line if traced.seed is not None else 0,
        holdings=[
            pb.Holding(
                artifact=artifact_name(project, held.artifact.digest),
                kind=held.artifact.kind,
                run=held.artifact.run,
                commit_time=encode_time(held.artifact.committed_at),
            )
            for held in traced.held
        ],
        dataset_versions=[version_name(project, version) for version in traced.versions],
    )
