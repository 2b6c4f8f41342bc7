"""Which models of Cultivar's own application a project's teacher may name: its own adapters and aliases alone."""

from cultivar_artifacts import ArtifactMissing, ArtifactStore, load_alias
from cultivar_artifacts.store import is_alias, is_digest, is_project
from cultivar_models import Answer
from cultivar_models.weights import SHIPPED
from cultivar_service.errors import InvalidArgument

from cultivar_generation.teacher import TeacherSpec


async def own_model(artifacts: ArtifactStore, project: str, teacher: TeacherSpec) -> TeacherSpec:
    """Returns a teacher with the name that the application knows its model under: an alias is of the project.

    A teacher with a URL is somebody else's and stays as it is. Raises InvalidArgument for a model that may be another
    project's.
    """
    if teacher.url:
        return teacher
    owner, slash, named = teacher.model.rpartition(":")[2].rpartition("/")
    if slash and owner != project and is_project(owner) and (is_alias(named) or is_digest(named)):
        raise InvalidArgument(
            f"teacher.model {teacher.model[:80]!r} names an adapter of another project: name one of {project}, or give "
            "the URL of the API that serves it; a base model of such a name is served as another by model_name",
            field="teacher.model",
        )
    if owner not in ("", project) or ":" in teacher.model or named in SHIPPED or not is_alias(named):
        return teacher
    try:
        alias = await load_alias(artifacts, project, named)
    except ArtifactMissing:
        return teacher
    return teacher.model_copy(update={"model": f"{alias.base_model}:{project}/{named}"})


def answering(teacher: TeacherSpec, answer: Answer) -> str:
    """Returns the model that a candidate is of: an alias moves, and Cultivar's own application says what answered.

    What another server calls itself is taken from nobody: many say the same name whatever they serve.
    """
    return teacher.model if teacher.url else answer.model or teacher.model
