"""Makes docs/prompts.md: each shipped prompt run on a few seeds with the teacher of this machine, nothing by hand.

`python -m benchmarks.prompts` asks the server that `cultivar up` started.
"""

import argparse
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from cultivar.client import Client
from cultivar.datasets.v1 import datasets_pb2
from cultivar.example.v1 import example_pb2
from cultivar.files import upload
from cultivar.generation.v1 import generation_pb2 as pb

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "prompts.md"
SEEDS = ROOT / "examples" / "prompts"
SUPPORT = ROOT / "examples" / "support" / "seeds.jsonl"
LABELS = ("refund", "delivery", "password", "invoice", "cancel", "exchange", "damaged", "discount")
BY_LABEL = ("blur", "by-label", "continue", "contrast", "edge-cases", "paraphrase", "style", "translate")
COUNT = 8
SHOWN = 500


@dataclass(frozen=True)
class Seeds:
    """A file of seeds, imported, with its task."""

    artifact: str
    task: example_pb2.Task


def main() -> None:
    """Runs every shipped prompt and writes the page."""
    parser = argparse.ArgumentParser(description="Measures the shipped prompts and writes docs/prompts.md.")
    parser.add_argument("--teacher", default="local", help="the teacher, as it was registered")
    parser.add_argument("--prompt", help="one prompt alone, such as code@1, and those that the page has not")
    options = parser.parse_args()
    with Client() as client:
        seeds = {name: imported(client, name) for name in ("label", "instruction", "entities", "code", "passages")}
        teacher = client.generation.GetTeacher(pb.GetTeacherRequest(name=client.name("teachers", options.teacher)))
        prompts = client.generation.ListPrompts(pb.ListPromptsRequest(parent=client.parent)).prompts
        before = written() if options.prompt else {}
        sections = []
        for prompt in prompts:
            name = prompt.name.rpartition("/")[2]
            kept = before.get(name) if name != options.prompt else None
            sections.append(kept or section(client, prompt, seeds[seeds_of(prompt)], teacher))
    PAGE.write_text(head(teacher) + "\n".join(sections))


def written() -> dict[str, str]:
    """Returns the sections that the page has, by the names of their prompts."""
    parts = re.split(r"^## (\S+)\n", PAGE.read_text(), flags=re.MULTILINE)[1:]
    return {name: f"## {name}\n{text.rstrip()}\n" for name, text in zip(parts[::2], parts[1::2], strict=True)}


def imported(client: Client, name: str) -> Seeds:
    """Imports the seeds of a kind of task."""
    files = {
        "label": (SUPPORT, example_pb2.TASK_KIND_CLASSIFICATION, LABELS),
        "instruction": (SEEDS / "instructions.jsonl", example_pb2.TASK_KIND_INSTRUCTION, ()),
        "entities": (SEEDS / "entities.jsonl", example_pb2.TASK_KIND_ENTITIES, ("person", "place")),
        "code": (SEEDS / "code.jsonl", example_pb2.TASK_KIND_CODE, ()),
        "passages": (SEEDS / "passages.md", example_pb2.TASK_KIND_INSTRUCTION, ()),
    }
    path, kind, labels = files[name]
    instruction = "Sort the message by what the customer wants." if labels and name == "label" else ""
    task = example_pb2.Task(kind=kind, labels=labels, instruction=instruction)
    spec = datasets_pb2.ImportSpec(file=upload(client, path), task=task, unanswered=name == "passages")
    request = datasets_pb2.ImportExamplesRequest(parent=client.parent, spec=spec, request_id=uuid4().hex)
    run = client.datasets.ImportExamples(request)
    for change in client.datasets.WatchImportRun(datasets_pb2.WatchImportRunRequest(name=run.name)):
        run = change
    return Seeds(run.artifacts["seeds"], task)


def seeds_of(prompt: pb.Prompt) -> str:
    """Returns which seeds a prompt is run on."""
    name = prompt.name.rpartition("/")[2].partition("@")[0]
    own = {"code": "code", "documents": "passages", "entities": "entities", "entities-paraphrase": "entities"}
    return "label" if name in BY_LABEL else own.get(name, "instruction")


def section(client: Client, prompt: pb.Prompt, seeds: Seeds, teacher: pb.Teacher) -> str:
    """Runs a prompt and returns what the page says of it."""
    use = pb.StrategyUse(strategy=prompt.strategy, prompt=prompt.name, count=COUNT)
    spec = pb.GenerationSpec(
        seeds=seeds.artifact, task=seeds.task, strategies=[use], teacher=teacher.name, random_seed=1
    )
    calls = client.generation.Preview(pb.PreviewRequest(parent=client.parent, spec=spec)).calls
    made = [candidate for call in calls for candidate in call.candidates]
    reasons = Counter(reason for call in calls for reason in call.malformed)
    lines = [f"## {prompt.name.rpartition('/')[2]}", "", f"{prompt.description} Strategy `{prompt.strategy}`.", ""]
    lines += [f"{len(calls)} calls: {len(made)} candidates, {reasons.total()} malformed.", ""]
    lines += [f"- {count} × {reason}" for reason, count in reasons.most_common()] + [""] * bool(reasons)
    first = next((call for call in calls if call.candidates), calls[0])
    lines += ["The prompt:", "", quoted(first.prompt), "", "What became of it:", ""]
    lines += [told(first.candidates[0]) if first.candidates else quoted(first.answer), ""]
    return "\n".join(lines)


def told(example: example_pb2.Example) -> str:
    """Shows a candidate."""
    lines = [f"{message.role}: {message.content}" for message in example.messages]
    lines += [f"rejected: {example.rejected}"] if example.rejected else []
    lines += [f"test: {test}" for test in example.tests]
    lines += [f"evidence: {passage}" for passage in example.evidence]
    return quoted("\n".join(lines))


def quoted(text: str) -> str:
    """Shows a text as it is, indented, its end left out where it is long."""
    shown = text if len(text) <= SHOWN else f"{text[:SHOWN]} …"
    return "\n".join(f"    {line}".rstrip() for line in shown.splitlines()) or "    (nothing)"


def head(teacher: pb.Teacher) -> str:
    """Returns how the page begins."""
    return f"""# Shipped prompts

Made by `python -m benchmarks.prompts`; nothing here is written by hand. Each prompt ran on a few seeds of
[examples](../examples) with the teacher `{teacher.model}` (temperature {teacher.temperature:g}, top_p
{teacher.top_p:g}, at most {teacher.max_tokens} tokens). Shown is the first candidate, not the best one, and where
there is none the answer as it came. "Malformed" is what could not be read or did not pass a prompt's own check; no
filter and no person has seen these candidates.

A model of this size follows few instructions: expect it to fill the plain continuation (`continue`), and much of the
rest to be wrong, off the point or a copy. The figures are a check that every prompt works end to end, and no measure
of what a capable teacher makes of them. [A thousand pairs](campaign-of-1000-pairs.md) tells a whole campaign with two
of them.

"""


if __name__ == "__main__":
    main()
