"""Messages of training to and from its own objects."""

import re
from collections.abc import Sequence
from typing import Any

from cultivar.training.v1 import training_pb2 as pb
from cultivar_artifacts.errors import ArtifactInvalid
from cultivar_artifacts.store import require_alias
from cultivar_artifacts.tables import Committed
from cultivar_models.weights import SHIPPED
from cultivar_service.artifacts import artifact_digest, artifact_name
from cultivar_service.errors import InvalidArgument
from cultivar_service.example_codec import decode_task, encode_task
from cultivar_service.names import resource_name
from cultivar_service.run_codec import encode_run, encode_time
from cultivar_service.runs import FAILED, Run
from cultivar_service.translate import invalid
from pydantic import ValidationError

from cultivar_training import aliases
from cultivar_training.errors import BaseModelUnknown
from cultivar_training.plan import BASE_MODELS, DEFAULT_MODEL, REPOSITORY, RunSpec

COLLECTION = "trainingRuns"
NUMBERS = ("learning_rate", "epochs", "batch_size", "max_length", "max_trained_tokens", "random_seed", "workers")


def decode_spec(project: str, spec: pb.TrainingSpec, workers: int) -> RunSpec:
    """Resolves what a run is to do, with every default filled in; `workers` where the spec does not say how many."""
    given: dict[str, Any] = {name: getattr(spec, name) for name in NUMBERS if getattr(spec, name)}
    if spec.HasField("patience"):
        given["patience"] = spec.patience
    try:
        return RunSpec.model_validate(
            {
                "workers": workers,
                **given,
                "dataset": artifact_digest(project, spec.dataset, "spec.dataset") if spec.dataset else "",
                "validation": artifact_digest(project, spec.validation, "spec.validation") if spec.validation else "",
                "task": decode_task(spec.task, "spec.task"),
                "base_model": decode_base_model(spec.base_model, "spec.base_model"),
                "lora": decode_lora(spec.lora),
            }
        )
    except ValidationError as error:
        raise invalid(error, "spec") from error


def decode_lora(lora: pb.Lora) -> dict[str, Any]:
    """Reads the shape of an adapter; alpha is twice the rank where it is not given."""
    given: dict[str, Any] = {"dropout": lora.dropout, "target_modules": tuple(lora.target_modules)}
    rank = lora.rank or 16
    return {**given, "rank": rank, "alpha": lora.alpha or 2.0 * rank}


def decode_base_model(name: str, field: str) -> str:
    """Returns the name of a base model; raises BaseModelUnknown for one that neither ships nor names a repository."""
    name = name or DEFAULT_MODEL
    if name not in BASE_MODELS and not re.fullmatch(REPOSITORY, name):
        raise BaseModelUnknown(name, BASE_MODELS, field)
    return name


def encode_spec(project: str, spec: RunSpec) -> pb.TrainingSpec:
    """Returns what a run is to do."""
    return pb.TrainingSpec(
        dataset=artifact_name(project, spec.dataset),
        validation=artifact_name(project, spec.validation),
        task=encode_task(spec.task),
        base_model=spec.base_model,
        lora=pb.Lora(**spec.lora.model_dump()),
        patience=spec.patience,
        **{name: getattr(spec, name) for name in NUMBERS},
    )


def encode_training_run(run: Run) -> pb.TrainingRun:
    """Returns the resource of a run."""
    spec = RunSpec.model_validate(run.spec)
    digest = run.result.get("adapter", "")
    return pb.TrainingRun(
        name=resource_name(run.project, COLLECTION, run.id),
        run=encode_run(run),
        spec=encode_spec(run.project, spec),
        adapter=artifact_name(run.project, digest),
        model=served_name(spec.base_model, run.project, digest) if digest else "",
        log_tail=run.progress.get("log_tail", []) if run.state == FAILED else [],
    )


def served_name(base_model: str, project: str, adapter: str) -> str:
    """Returns what the teachers application calls a base model with an adapter, which is a digest or an alias."""
    return f"{base_model}:{project}/{adapter}"


def base_model_of(run: Run) -> str:
    """Returns the base model of the adapter that a run made."""
    return RunSpec.model_validate(run.spec).base_model


def encode_adapter(committed: Committed, run: Run) -> pb.Adapter:
    """Returns the resource of an adapter, from its row and that of the run that made it."""
    spec = RunSpec.model_validate(run.spec)
    return pb.Adapter(
        name=artifact_name(run.project, committed.digest),
        model=served_name(spec.base_model, run.project, committed.digest),
        base_model=spec.base_model,
        training_run=resource_name(run.project, COLLECTION, run.id),
        dataset=artifact_name(run.project, spec.dataset),
        spec=encode_spec(run.project, spec),
        measures=run.result.get("measures", {}),
        size=run.result.get("size", 0),
        create_time=encode_time(committed.committed_at),
    )


def decode_alias(alias: str) -> str:
    """Returns an alias; raises InvalidArgument for what can be none, or would hide a shipped model."""
    try:
        require_alias(alias)
    except ArtifactInvalid as error:
        raise InvalidArgument(f"alias_id: {error}", field="alias_id") from error
    if alias in SHIPPED:
        raise InvalidArgument(f"{alias} is the name of a shipped model: take another alias", field="alias_id")
    return alias


def encode_alias(newest: aliases.Move, moves: Sequence[aliases.Move] = ()) -> pb.Alias:
    """Returns the resource of an alias, from its newest move."""
    return pb.Alias(
        name=resource_name(newest.project, aliases.COLLECTION, newest.alias),
        adapter=artifact_name(newest.project, newest.adapter),
        model=served_name(newest.base_model, newest.project, newest.alias),
        base_model=newest.base_model,
        revision=newest.revision,
        update_time=encode_time(newest.create_time),
        moves=[
            pb.AliasMove(
                revision=move.revision,
                adapter=artifact_name(move.project, move.adapter),
                principal=move.principal,
                create_time=encode_time(move.create_time),
            )
            for move in moves
        ],
    )
