"""label_echo: texts that give their label away."""

from collections.abc import Mapping
from typing import ClassVar

from cultivar_records import Example
from cultivar_texts import normal_form

from cultivar_filtering.filters.protocol import FilterConfig, Given, Judge, Opinion, Rule, keep, reject, wording


class LabelEchoConfig(FilterConfig):
    """It has no parameters."""


class LabelEcho:
    """Rejects texts that name their label."""

    description = "Rejects texts that name their own label, for labels that a person would not write into a message."
    reasons: ClassVar[Mapping[str, str]] = {"names_label": "the words of the label stand in the text"}
    Config = LabelEchoConfig

    def judge(self, config: LabelEchoConfig, given: Given) -> Judge:
        """Returns a judge that looks for the words of the label, in a row."""

        def rule(example: Example) -> Opinion:
            label = normal_form((example.label or "").replace("_", " "))
            named = bool(label) and f" {label} " in f" {normal_form(wording(example))} "
            return reject("names_label") if named else keep()

        return Rule(rule)
