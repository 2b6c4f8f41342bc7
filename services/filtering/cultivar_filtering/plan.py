"""What a filter run is to do, resolved: every default filled in, so that it judges the same after an upgrade."""

from collections.abc import Sequence

from cultivar_records import TaskSpec
from pydantic import BaseModel, ConfigDict, Field

from cultivar_filtering.filters import FILTERS, HELD_OUT
from cultivar_filtering.recipes import Use, resolve

MOST_FILTERS = 16


class RunSpec(BaseModel):
    """What a filter run is to do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    examples: str = Field(description="The digest of the examples' manifest.")
    task: TaskSpec
    uses: tuple[Use, ...] = Field(min_length=1)
    recipe: str = Field("", description="The shipped recipe that the filters came from.")
    seeds: str = Field("", description="The digest of the seeds' manifest; empty for none.")
    held_out: tuple[str, ...] = Field((), description="The digests of the held-out manifests.")

    @property
    def parents(self) -> tuple[str, ...]:
        """The digests of every artifact that the run reads."""
        return tuple(digest for digest in (self.examples, self.seeds, *self.held_out) if digest)

    @property
    def models(self) -> tuple[str, ...]:
        """The models whose vectors the filters need."""
        configs = [FILTERS[use.filter].Config.model_validate(use.params) for use in self.uses]
        return tuple(sorted({config.embeds for config in configs} - {""}))


def guarded(uses: Sequence[Use], held_out: Sequence[str]) -> tuple[Use, ...]:
    """Returns the filters, with one against held-out examples at the end where some are given and none was named."""
    if held_out and all(use.filter != HELD_OUT for use in uses):
        return (*uses, resolve(HELD_OUT, {}))
    return tuple(uses)
