"""What a campaign file that is wrong is told: the path, and the nearest right name."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, get_args

from cultivar_service.errors import InvalidArgument
from pydantic import BaseModel, ValidationError

from cultivar_campaigns.config import CampaignConfig


def check_config(data: dict[str, Any]) -> CampaignConfig:
    """Reads a campaign file; raises InvalidArgument with the path of what is wrong first, and what to do."""
    try:
        return CampaignConfig.model_validate(data)
    except ValidationError as error:
        raise explained(error) from error


def explained(error: ValidationError) -> InvalidArgument:
    """Returns the sentence of what is wrong: misspelt keys first, for they are the cause of others."""
    found = error.errors(include_url=False)
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    place = [part for part in first["loc"] if isinstance(part, int) or not part.startswith("function-")]
    path = dotted(place)
    field = f"config.{path}" if path else "config"
    if first["type"] == "extra_forbidden":
        return InvalidArgument(unknown(path, str(place[-1]), names_at(place[:-1])), field=field)
    if first["type"] == "missing":
        return InvalidArgument(f"{path} is required: {sentence_at(place)}", field=field)
    if first["type"] == "value_error":
        said = str(first["ctx"]["error"])
        return InvalidArgument(f"{path}: {said}" if path else said, field=field)
    got = first["input"]
    shown = f", got {got!r}" if isinstance(got, str | int | float) and len(str(got)) < 80 else ""
    return InvalidArgument(f"{path}: {first['msg']}{shown}. {sentence_at(place)}".rstrip(), field=field)


def dotted(place: Sequence[int | str]) -> str:
    """Writes a path as `generate[0].count`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")


def unknown(path: str, name: str, known: Sequence[str]) -> str:
    """Returns the sentence of a key that does not exist."""
    near = get_close_matches(name, known, 1)
    if near:
        return f"{path}: did you mean {near[0]}?"
    parent = path.rpartition(".")[0] or "a campaign file"
    return f"{path} is unknown: {parent} has {', '.join(known)}"


def names_at(place: Sequence[int | str]) -> list[str]:
    """Returns the names of the fields at a path."""
    model = model_at(place)
    return list(model.model_fields) if model is not None else []


def sentence_at(place: Sequence[int | str]) -> str:
    """Returns the sentence of the field at a path."""
    model = model_at(place[:-1])
    field = model.model_fields.get(str(place[-1])) if model is not None and place else None
    return field.description or "" if field is not None else ""


def model_at(place: Sequence[int | str]) -> type[BaseModel] | None:
    """Finds the model that stands at a path; None below free parameters."""
    model: type[BaseModel] | None = CampaignConfig
    for part in place:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part) if model is not None else None
        model = model_in(field.annotation) if field is not None else None
    return model


def model_in(annotation: Any) -> type[BaseModel] | None:
    """Finds the model inside an annotation such as `tuple[Use, ...]` or `DataFile | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for found in map(model_in, get_args(annotation)) if found is not None), None)
