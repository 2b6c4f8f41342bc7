"""format: examples that lack what their task needs, and texts with remains of the prompt or of its template."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, Final

from cultivar_records import Example, TaskKind, TaskSpec
from cultivar_texts import normal_form, words
from pydantic import Field

from cultivar_filtering.filters.protocol import FilterConfig, Given, Judge, Opinion, Rule, keep, prose, reject, wording

LIST_MARK: Final = re.compile(r"\s*(?:\d{1,3}[.):](?=\s|$)|[-*•]\s)")
ROLE_TOKEN: Final = re.compile(r"</?s>|\[/?INST\]|<</?SYS>>", re.IGNORECASE)
TURN_MARK: Final = re.compile(r"<([|｜])[\w▁]{2,40}\1>|<(?:start|end)_of_turn>", re.IGNORECASE)
"""What chat templates set around turns; some models write a wide bar and a low block."""
REASONING_MARK: Final = re.compile(r"</?(?:think|thinking|thought|reasoning)>|\[/?THINK\]", re.IGNORECASE)
ROLE_NAME: Final = re.compile(r"^\s*(?:human|assistant|user|system|ai)\s*:", re.IGNORECASE | re.MULTILINE)
TEMPLATE: Final = re.compile(
    r"\{\{|\}\}|\{%|%\}|^\s*#{2,4}\s*(?:(?:instruction|response|input|output)\b|(?:human|user|assistant|system)\s*:)"
    r"| of the kind \"",
    re.IGNORECASE | re.MULTILINE,
)
PLACEHOLDER: Final = re.compile(
    r"[\[<{](?:your|insert|customer|company|order|product|first|last|full|phone|tracking)?[ _-]?"
    r"(?:name|number|date|address|email|company|product|amount|city|id|text|message)(?: here)?[\]>}]",
    re.IGNORECASE,
)
TALK: Final = re.compile(
    r"\s*(?:(?:sure|certainly|of course|absolutely)\b[,.!:]?\s*(?:here|i(?:'d| would| can)\b[^.\n]{0,40}\brewrit)"
    r"|here(?:'s| is| are)\s[^.\n]{0,60}\b(?:message|version|paraphrase|rewrit\w+|example|list)s?\b[^.\n]{0,40}:"
    r"|as an? (?:ai|language model|assistant)\b|i(?:'m| am) (?:just )?an? (?:ai|language model)\b)",
    re.IGNORECASE,
)
FENCE: Final = re.compile(r"^\s*```", re.MULTILINE)


class FormatConfig(FilterConfig):
    """What is looked for beside what the task needs."""

    debris: bool = Field(
        True, description="Whether remains of prompts are rejected: list marks, role tokens, thoughts, template words."
    )
    answered: bool = Field(True, description="Whether an answer is needed; no for inputs that are answered later.")


class Format:
    """Rejects what is no clean example of the task."""

    description = "Rejects examples without what the task needs, and texts with remains of a prompt or a template."
    reasons: ClassVar[Mapping[str, str]] = {
        "other_task": "the example is of another kind of task",
        "no_text": "the text is empty",
        "no_answer": "the answer is empty",
        "label_unknown": "the label is none of the task's",
        "span_label_unknown": "the label of a span is none of the task's",
        "spans_overlap": "two spans overlap",
        "span_edges": "a span begins or ends with white space",
        "no_tests": "a code example has no tests",
        "open_fence": "a block of code is opened and never closed",
        "list_mark": "the text begins with the number or bullet of a list",
        "role_token": "a text holds the token or the name of a role in a conversation",
        "reasoning_mark": "a text holds the mark of a model's thoughts, such as <think>",
        "template_debris": "a text holds a word of the template, such as the name before an input",
        "placeholder": "the text holds a blank to be filled in, such as [Your Name]",
        "assistant_talk": "the text begins with what a model says about its answer",
        "label_list": "the text is made of the task's labels and nothing else",
    }
    Config = FormatConfig

    def judge(self, config: FormatConfig, given: Given) -> Judge:
        """Returns a judge that knows the task's labels and the words of its template."""
        debris = finder(given.task) if config.debris else None

        def rule(example: Example) -> Opinion:
            for reason in lacks(example, given.task):
                if config.answered or reason != "no_answer":
                    return reject(reason)
            if debris is not None:
                for reason in debris(example):
                    return reject(reason)
            return keep()

        return Rule(rule)


def lacks(example: Example, task: TaskSpec) -> Iterator[str]:
    """Yields what an example lacks of its task; spans beyond the text cannot be, an Example refuses them."""
    labels = set(task.labels)
    if example.task is not task.kind:
        yield "other_task"
    if not wording(example).strip():
        yield "no_text"
    if example.task is not TaskKind.ENTITIES and not example.answer.strip():
        yield "no_answer"
    if example.task is TaskKind.CLASSIFICATION and labels and example.label not in labels:
        yield "label_unknown"
    if example.task is TaskKind.CODE and not any(test.strip() for test in example.tests):
        yield "no_tests"
    if labels and any(span.label not in labels for span in example.spans):
        yield "span_label_unknown"
    if example.task is not TaskKind.CLASSIFICATION and len(FENCE.findall(example.answer)) % 2:
        yield "open_fence"
    end = 0
    for span in sorted(example.spans, key=lambda span: span.start):
        if span.start < end:
            yield "spans_overlap"
        surface = example.text[span.start : span.end]
        if surface != surface.strip():
            yield "span_edges"
        end = span.end


def finder(task: TaskSpec) -> Callable[[Example], Iterator[str]]:
    """Returns what finds the remains of prompts in the texts of an example."""
    names = "|".join(re.escape(name) for name in (task.input_name, task.output_name))
    cue = re.compile(rf"^\s*(?:{names})s?\s*:", re.IGNORECASE | re.MULTILINE)
    labels = sorted((words(label) for label in task.labels), key=len, reverse=True)
    listed = re.compile("|".join(re.escape(" ".join(label)) for label in labels if label)) if any(labels) else None
    free_answer = task.kind is TaskKind.INSTRUCTION

    def find(example: Example) -> Iterator[str]:
        # An answer may well be a list, and open with a word to its reader; an input may not.
        text = wording(example)
        if LIST_MARK.match(text):
            yield "list_mark"
        if TALK.match(text):
            yield "assistant_talk"
        if listed is not None and not listed.sub("", normal_form(text)).strip():
            yield "label_list"
        if not free_answer and cue.search(text):
            yield "template_debris"
        if not free_answer and ROLE_NAME.search(text):
            yield "role_token"
        for part in (text, example.answer, example.rejected or ""):
            if REASONING_MARK.search(part):
                yield "reasoning_mark"
            if TURN_MARK.search(part):
                yield "role_token"
        for part in (*prose(example), example.rejected or "" if free_answer else ""):
            if ROLE_TOKEN.search(part):
                yield "role_token"
            if TEMPLATE.search(part):
                yield "template_debris"
        if any(PLACEHOLDER.search(part) for part in prose(example)):
            yield "placeholder"

    return find
