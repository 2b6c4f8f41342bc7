"""Prompts: the templates that ship with Cultivar, and how a template is compiled, checked and rendered.

To add one, write a file `{name}.yaml` beside this one with `description`, `strategy`, `form` and `template`, and
`params` where the strategy is to have others than its defaults. To change one, write `{name}@{version}.yaml`: a version
that was shipped stays, since runs name it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import rfc8785
import yaml
from jinja2 import Template, nodes
from jinja2.meta import find_undeclared_variables

from cultivar_generation.errors import TemplateInvalid
from cultivar_generation.prompts.bounds import BoundedEnvironment

Form = Literal["chat", "continuation"]
MOST_CHARACTERS = 100_000
MOST_TAGS = 2000
"""Expressions and statements of a template: compiling more would hold up other calls."""
ENVIRONMENT = BoundedEnvironment()


@dataclass(frozen=True)
class Prompt:
    """One version of a template.

    `strategy` and `params` say what it was written for; empty for any. `parent` is the version that it amends,
    `{name}@{version}`, and `finding` is what was found in the reviews of that one.
    """

    name: str
    version: int
    form: Form
    template: str
    description: str
    strategy: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    parent: str = ""
    finding: str = ""

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of form, template and, where set, strategy and params, in hexadecimal."""
        also = {name: value for name in ("strategy", "params") if (value := getattr(self, name))}
        return hashlib.sha256(rfc8785.dumps({"form": self.form, "template": self.template, **also})).hexdigest()

    @cached_property
    def versioned_name(self) -> str:
        """The name with its version, `{name}@{version}`."""
        return f"{self.name}@{self.version}"

    def render(self, variables: Mapping[str, Any]) -> str:
        """Returns the text for a model; raises TemplateInvalid where the template names what it is not given."""
        return render(self.template, variables)


def render(template: str, variables: Mapping[str, Any]) -> str:
    """Fills in a template; raises TemplateInvalid where it names what it is not given, or does anything else wrong."""
    try:
        made = compiled(template)
        # Not `made.render`: where a template fails that compiles each frame of its traceback anew, a thousand of them.
        text = "".join(made.root_render_func(made.new_context(dict(variables))))
    except Exception as error:
        # A template is data: whatever it does wrong, such as dividing by zero, is the template's error.
        raise TemplateInvalid(str(error)) from error
    if len(text) > MOST_CHARACTERS:
        raise TemplateInvalid(f"the rendered prompt has {len(text)} characters, {MOST_CHARACTERS} at most")
    return text


@lru_cache(maxsize=256)
def compiled(template: str) -> Template:
    """Compiles a template once; raises TemplateInvalid where it is not Jinja2, or too long."""
    check_size(template)
    try:
        return ENVIRONMENT.from_string(template)
    except Exception as error:
        # Brackets that are nested too deep are no TemplateError.
        raise TemplateInvalid(str(error)) from error


def names_in(template: str) -> set[str]:
    """Returns what a template names and does not set itself; raises TemplateInvalid where it is not Jinja2."""
    tree = parsed(template)
    try:
        return set(find_undeclared_variables(tree))
    except Exception as error:
        # Such as a filter that there is not.
        raise TemplateInvalid(str(error)) from error


def parsed(template: str) -> nodes.Template:
    """Returns the tree of a template; raises TemplateInvalid where it is not Jinja2, or too long."""
    check_size(template)
    try:
        return ENVIRONMENT.parse(template)
    except Exception as error:
        raise TemplateInvalid(str(error)) from error


def check_size(template: str) -> None:
    """Raises TemplateInvalid for a template that is too long, or has too many expressions and statements."""
    tags = template.count("{{") + template.count("{%")
    for name, number, most in (("characters", len(template), MOST_CHARACTERS), ("tags", tags, MOST_TAGS)):
        if number > most:
            raise TemplateInvalid(f"it has {number:,} {name}, {most:,} at most")


def shipped() -> dict[str, dict[int, Prompt]]:
    """Returns the prompts that ship with Cultivar: their versions, by name."""
    found: dict[str, dict[int, Prompt]] = {}
    for path in sorted(Path(__file__).parent.glob("*.yaml")):
        name, _, number = path.stem.partition("@")
        fields = yaml.safe_load(path.read_text())
        version = int(number or 1)
        given = {key: fields[key] for key in ("strategy", "params") if key in fields}
        found.setdefault(name, {})[version] = Prompt(
            name, version, fields["form"], fields["template"], fields["description"], **given
        )
    return found
