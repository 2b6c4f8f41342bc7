"""What of a teacher is frozen with a run: all that decides what its answers are, what they cost and whose they are."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from cultivar_generation.teacher import TeacherSpec

FREE = {
    *("url", "credential", "headers", "proxy", "ca_file", "probe"),
    *("concurrency", "requests_per_minute", "timeout_seconds"),
}
"""What is read anew at each attempt, so that a run can follow a teacher that moved, or whose key is another now."""


class FrozenTeacher(BaseModel):
    """A teacher as it was when a run was made; `takes_schemas` says what its probe and setting came to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    temperature: float
    top_p: float
    max_tokens: int
    request_fields: dict[str, Any] = {}
    prompt_price: float
    completion_price: float
    licence: str
    takes_schemas: bool


def freeze(teacher: TeacherSpec) -> FrozenTeacher:
    """Returns what of a teacher a run keeps."""
    kept = teacher.model_dump(include=set(FrozenTeacher.model_fields))
    return FrozenTeacher(**kept, takes_schemas=teacher.takes_schemas)


def as_frozen(teacher: TeacherSpec, frozen: FrozenTeacher | None) -> TeacherSpec:
    """Returns a teacher as a run knows it, served where it is served now; as it is for a run that froze none."""
    if frozen is None:
        return teacher
    kept: dict[str, Any] = frozen.model_dump(exclude={"takes_schemas"})
    structured = "always" if frozen.takes_schemas else "never"
    return TeacherSpec(**teacher.model_dump(include=FREE), **kept, structured_output=structured)
