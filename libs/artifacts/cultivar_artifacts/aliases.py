"""Aliases: names of adapters that can be moved, kept beside them so that who serves models needs no database.

The table of the training service says what an alias names; the object `{project}/aliases/{alias}.json` repeats it. It
is the one object of a store that changes, and nothing that is named by a digest depends on it.
"""

import json
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from cultivar_artifacts.errors import CorruptArtifact
from cultivar_artifacts.store import ArtifactStore, require_alias, require_digest, require_project


class Alias(BaseModel):
    """What an alias names: the adapter with this digest, for this base model; `revision` grows with each move."""

    # A field that a later version adds is passed over, so that two versions can run side by side during an upgrade.
    model_config = ConfigDict(frozen=True, extra="ignore")

    project: Annotated[str, AfterValidator(require_project)]
    alias: Annotated[str, AfterValidator(require_alias)]
    adapter: Annotated[str, AfterValidator(require_digest)]
    base_model: Annotated[str, Field(min_length=1, max_length=256)]
    revision: Annotated[int, Field(ge=1)]


async def save_alias(store: ArtifactStore, alias: Alias) -> None:
    """Makes an alias name what it says, in place of what it named."""
    document = json.dumps(alias.model_dump(mode="json"), sort_keys=True).encode()
    await store.put_alias(alias.project, alias.alias, document)


async def load_alias(store: ArtifactStore, project: str, alias: str) -> Alias:
    """Reads what an alias names; raises `ArtifactMissing`, and `CorruptArtifact` for an object that is no alias."""
    document = await store.read_alias(project, alias)
    try:
        found = Alias.model_validate_json(document)
    except ValidationError:
        found = None
    if found is None or (found.project, found.alias) != (project, alias):
        raise CorruptArtifact(f"the object of alias {alias} is damaged: set the alias again")
    return found
