"""Verdicts: what one filter said of one example."""

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cultivar_records.examples import ExampleId


class Verdict(BaseModel):
    """Says whether a filter keeps an example, why, and by what score (none where a rule has no score).

    A verdict that rejects has a reason. Raises pydantic's ValidationError otherwise, and for a score that is not
    finite.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    example: ExampleId
    filter: str = Field(min_length=1)
    keep: bool
    reason: str = ""
    score: float | None = Field(default=None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _gives_a_reason(self) -> "Verdict":
        if not self.keep and not self.reason:
            raise ValueError("A verdict that rejects must give a reason.")
        return self
