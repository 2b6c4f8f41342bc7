"""Recipes: ordered lists of filters with their parameters, and those that ship with Cultivar.

To add one, write a file `{name}.yaml` beside this one with `description` and `filters`, a list of `filter`, `params`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rfc8785
import yaml
from pydantic import BaseModel, ConfigDict

from cultivar_filtering.filters import FILTERS


class Use(BaseModel):
    """One use of a filter, resolved: stored whole with the run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    filter: str
    params: dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """A list of filters that ships with Cultivar."""

    name: str
    description: str
    uses: tuple[Use, ...]


def resolve(name: str, params: Mapping[str, Any]) -> Use:
    """Fills in the defaults of a filter; raises KeyError for an unknown one and ValidationError for wrong params."""
    config = FILTERS[name].Config.model_validate(params)
    return Use(filter=name, params=config.model_dump(mode="json"))


def digest_uses(uses: Sequence[Use]) -> str:
    """Returns SHA-256 over the canonical JSON of resolved filters, in hexadecimal."""
    return hashlib.sha256(rfc8785.dumps([use.model_dump(mode="json") for use in uses])).hexdigest()


def shipped() -> dict[str, Recipe]:
    """Returns the recipes that ship with Cultivar, resolved."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.yaml")):
        fields = yaml.safe_load(path.read_text())
        uses = tuple(resolve(use["filter"], use.get("params", {})) for use in fields["filters"])
        found[path.stem] = Recipe(path.stem, fields["description"], uses)
    return found


DEFAULT = "default"
RECIPES = shipped()
