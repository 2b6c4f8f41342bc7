"""Prompts: the templates that ship with Cultivar, and how a template is compiled, checked and rendered.

To add one, write a file `{name}.yaml` beside this one with `description`, `form` and `template`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import rfc8785
import yaml
from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from cultivar_generation.errors import TemplateInvalid

Form = Literal["chat", "continuation"]
MOST_CHARACTERS = 100_000
ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=False)


@dataclass(frozen=True)
class Prompt:
    """One version of a template."""

    name: str
    version: int
    form: Form
    template: str
    description: str

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of form and template, in hexadecimal."""
        return hashlib.sha256(rfc8785.dumps({"form": self.form, "template": self.template})).hexdigest()

    @cached_property
    def versioned_name(self) -> str:
        """The name with its version, `{name}@{version}`."""
        return f"{self.name}@{self.version}"

    def render(self, variables: Mapping[str, Any]) -> str:
        """Returns the text for a model; raises TemplateInvalid where the template names what it is not given."""
        try:
            text = compiled(self.template).render(variables)
        except Exception as error:
            # A template is data: whatever it does wrong, such as dividing by zero, is the template's error.
            raise TemplateInvalid(str(error)) from error
        if len(text) > MOST_CHARACTERS:
            raise TemplateInvalid(f"the rendered prompt has {len(text)} characters, {MOST_CHARACTERS} at most")
        return text


@lru_cache(maxsize=256)
def compiled(template: str) -> Template:
    """Compiles a template once; raises TemplateInvalid where it is not Jinja2."""
    try:
        return ENVIRONMENT.from_string(template)
    except TemplateError as error:
        raise TemplateInvalid(str(error)) from error


def shipped() -> dict[str, Prompt]:
    """Returns the prompts that ship with Cultivar, as version 1 of their names."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.yaml")):
        fields = yaml.safe_load(path.read_text())
        found[path.stem] = Prompt(path.stem, 1, fields["form"], fields["template"], fields["description"])
    return found
