"""Examples and tasks as messages."""

from cultivar.example.v1 import example_pb2 as pb
from cultivar_records import Example, TaskKind, TaskSpec
from pydantic import ValidationError

from cultivar_service.errors import InvalidArgument
from cultivar_service.translate import invalid


def decode_task(task: pb.Task, field: str) -> TaskSpec:
    """Reads a task; raises InvalidArgument with the path of what is wrong."""
    if task.kind == pb.TASK_KIND_UNSPECIFIED:
        raise InvalidArgument(f"{field}.kind must be set", field=f"{field}.kind")
    given = {
        "kind": pb.TaskKind.Name(task.kind).removeprefix("TASK_KIND_").lower(),
        "instruction": task.instruction,
        "labels": tuple(task.labels),
    }
    names = {name: getattr(task, name) for name in ("input_name", "output_name") if getattr(task, name)}
    try:
        return TaskSpec.model_validate({**given, **names})
    except ValidationError as error:
        raise invalid(error, field) from error


def encode_task_kind(kind: TaskKind) -> "pb.TaskKind.ValueType":
    """Returns the kind of a task."""
    return pb.TaskKind.Value(f"TASK_KIND_{kind.name}")


def encode_task(task: TaskSpec) -> pb.Task:
    """Returns a task."""
    return pb.Task(
        kind=encode_task_kind(task.kind),
        instruction=task.instruction,
        labels=task.labels,
        input_name=task.input_name,
        output_name=task.output_name,
    )


def encode_example(example: Example) -> pb.Example:
    """Returns an example with its provenance."""
    known = set(pb.Provenance.DESCRIPTOR.fields_by_name)
    provenance = {name: value for name, value in example.provenance.model_dump().items() if name in known}
    provenance["scores"] = {given.criterion: given.score for given in example.provenance.scores}
    return pb.Example(
        id=example.id,
        task=encode_task_kind(example.task),
        messages=[pb.Message(role=message.role, content=message.content) for message in example.messages],
        label=example.label or "",
        spans=[pb.Span(**span.model_dump()) for span in example.spans],
        tests=example.tests,
        evidence=example.evidence,
        rejected=example.rejected or "",
        provenance=pb.Provenance(**provenance),
    )
