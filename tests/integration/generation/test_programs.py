"""Every program and prompt in a run: over real gRPC, Postgres and files, with the fake teacher."""

from typing import Any

import grpc
import pytest
from cultivar.example.v1 import example_pb2
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar.run.v1 import run_pb2
from cultivar_artifacts import load_manifest, read_shards
from cultivar_generation.checking import MADE_UP
from cultivar_generation.prompts import shipped
from cultivar_models.fake import FakeSettings, FakeTeacher
from cultivar_records import Example, Message, Provenance, Span, TaskKind, example_id
from cultivar_service.serving import Host
from cultivar_service.struct_codec import encode_struct
from cultivar_texts import words

from tests.conftest import Start
from tests.integration.generation.test_generation_runs import PARENT, candidates, finish, open_generation
from tests.integration.generation.test_generation_runs import spec as plan
from tests.seeds import commit_examples, seeds

KINDS = {
    TaskKind.INSTRUCTION: example_pb2.TASK_KIND_INSTRUCTION,
    TaskKind.CODE: example_pb2.TASK_KIND_CODE,
    TaskKind.ENTITIES: example_pb2.TASK_KIND_ENTITIES,
}
TASKS = {
    "Name three trees that keep their leaves in winter.": "Holly, yew and box.",
    "Say in one sentence why the sky is blue at noon.": "Air scatters blue light more than red light.",
    "Write a polite note that a meeting has moved to Friday.": "The meeting has moved to Friday. Thank you.",
}


def example(text: str, answer: str, kind: TaskKind = TaskKind.INSTRUCTION, **more: Any) -> Example:
    """A seed of a text and an answer."""
    key = example_id("seeds", text, 0)
    messages = (Message(role="user", content=text), Message(role="assistant", content=answer))
    provenance = Provenance(origin="seed", family=key)
    return Example(id=key, task=kind, messages=messages, provenance=provenance, **more)


async def run_of(
    host: Host, stub: Any, examples: list[Example], uses: list[pb.StrategyUse], labels: tuple[str, ...] = ()
) -> tuple[pb.GenerationRun, list[Example]]:
    """Runs some strategies on some seeds to the end; returns the run and its candidates."""
    assert host.parts is not None
    seeds = await commit_examples(host.settings.database_url, host.parts.store, examples)
    task = example_pb2.Task(kind=KINDS[examples[0].task], instruction="Do it.", labels=labels)
    spec = pb.GenerationSpec(seeds=seeds, task=task, strategies=uses, teacher=f"{PARENT}/teachers/fake")
    run = await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=spec))
    run = await finish(stub, run)
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    return run, await candidates(host, run)


async def calls_of(host: Host, run: pb.GenerationRun) -> list[dict[str, Any]]:
    """Reads the rows of a run's calls."""
    assert host.parts is not None
    manifest = await load_manifest(host.parts.store, "default", run.calls.split("/")[-1])
    return [row async for table in read_shards(host.parts.store, manifest) for row in table.to_pylist()]


def use(strategy: str, count: int, prompt: str = "", **params: Any) -> pb.StrategyUse:
    """One use of a strategy."""
    named = f"{PARENT}/prompts/{prompt}" if prompt else ""
    return pb.StrategyUse(strategy=strategy, count=count, prompt=named, params=encode_struct(params))


INSTRUCTION_USES = {
    "answer": use("answer", 3),
    "dialogue": use("dialogue", 3),
    "answer-briefly": use("", 3, "answer-briefly"),
    "documents": use("documents", 6, grounded=0),
    "preference": use("preference", 3),
    "preference-pair": use("", 3, "preference-pair"),
    "refine": use("", 3, "refine"),
    "blur": use("", 3, "blur"),
    "style": use("", 3, "style"),
    "style-answer": use("", 4, "style-answer"),
    "evolve-deeper": use("", 3, "evolve-deeper"),
    "evolve-broader": use("", 3, "evolve-broader"),
    "instructions": use("", 4, "instructions"),
    "continue-instructions": use("", 4, "continue-instructions"),
    "translate": use("", 3, "translate", check=None),
    "pairs": use("", 8, "pairs"),
    "paraphrase": use("rewrite", 3),
    "continue": use("expand", 4),
}


async def test_every_prompt_for_instructions_gives_candidates_and_no_call_is_lost(
    start: Start, teacher: FakeTeacher
) -> None:
    host, stub, _ = await open_generation(start, teacher)
    seeds = [example(text, answer) for text, answer in TASKS.items()]
    run, made = await run_of(host, stub, seeds, list(INSTRUCTION_USES.values()))
    calls = await calls_of(host, run)
    assert len(calls) == run.run.progress.counts["answered"] + run.run.progress.counts["failed"]
    assert all(call["candidates"] or call["malformed"] or call["cause"] for call in calls)
    assert all(call["raw"] for call in calls if call["malformed"])
    assert sum(call["candidates"] for call in calls) == len(made) == run.run.progress.counts["candidates"]
    assert prompts_of(made) == set(INSTRUCTION_USES)
    known = {seed.id for seed in seeds}
    for one in made:
        origin = one.provenance
        assert set(origin.seeds) <= known and origin.strategy and origin.teacher == "fake" and origin.prompt_digest
        assert origin.call in {call["id"] for call in calls}


LABEL_USES = {
    "by-label": use("", 8, "by-label"),
    "edge-cases": use("", 8, "edge-cases"),
    "continue": use("expand", 8),
    "contrast": use("", 6, "contrast"),
    "paraphrase": use("rewrite", 6),
    "blur": use("", 6, "blur"),
    "style": use("", 6, "style"),
    "answer": use("answer", 6),
}


async def test_every_prompt_for_labels_gives_candidates_with_labels_of_the_task(
    start: Start, teacher: FakeTeacher
) -> None:
    host, stub, seeds_name = await open_generation(start, teacher)
    request = pb.CreateGenerationRunRequest(parent=PARENT, spec=plan(seeds_name, *LABEL_USES.values()))
    run = await finish(stub, await stub.CreateGenerationRun(request))
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    made = await candidates(host, run)
    assert prompts_of(made) == set(LABEL_USES)
    assert {one.label for one in made} == {"refund", "delivery"}
    own = {seed.id: seed.label for seed in seeds()}
    changed = [one for one in made if one.provenance.prompt == "contrast@1"]
    assert changed and all(one.label != own[one.provenance.seeds[0]] for one in changed)


async def test_a_teacher_that_takes_schemas_answers_with_one_of_the_labels(start: Start, teacher: FakeTeacher) -> None:
    _, stub, seeds_name = await open_generation(start, teacher)
    follows = pb.Teacher(url=teacher.url, model="fake-teacher", structured_output=pb.STRUCTURED_OUTPUT_ALWAYS)
    await stub.RegisterTeacher(
        pb.RegisterTeacherRequest(parent=PARENT, teacher_id="fake", teacher=follows, skip_probe=True)
    )
    preview = await stub.Preview(pb.PreviewRequest(parent=PARENT, spec=plan(seeds_name, use("answer", 6))))
    assert len(preview.calls) == 6 and all(call.answer.startswith('{"label": ') for call in preview.calls)
    assert {made.label for call in preview.calls for made in call.candidates} == {"refund", "delivery"}


OF_OTHER_KINDS = {"code", "entities", "entities-paraphrase"}


def test_every_prompt_that_ships_is_run_here() -> None:
    assert {*INSTRUCTION_USES, *LABEL_USES, *OF_OTHER_KINDS} == set(shipped())


def prompts_of(made: list[Example]) -> set[str]:
    """The names of the prompts that candidates were made with."""
    return {one.provenance.prompt.split("@")[0] for one in made}


async def test_each_program_gives_what_it_is_for(start: Start, teacher: FakeTeacher) -> None:
    host, stub, _ = await open_generation(start, teacher)
    names = ("answer", "dialogue", "documents", "preference")
    seeds = [example(text, answer) for text, answer in TASKS.items()]
    _, made = await run_of(host, stub, seeds, [INSTRUCTION_USES[name] for name in names])
    of = {name: [one for one in made if one.provenance.strategy == name] for name in names}
    assert {one.text for one in of["answer"]} == set(TASKS)
    assert all(len(one.messages) >= 4 and one.messages[0].content in TASKS for one in of["dialogue"])
    assert all(one.evidence[0] in TASKS for one in of["documents"])
    assert all(one.rejected and TASKS[one.text] == one.answer != one.rejected for one in of["preference"])


async def test_code_comes_with_tests_and_entities_with_spans(start: Start, teacher: FakeTeacher) -> None:
    host, stub, _ = await open_generation(start, teacher)
    _, made = await run_of(host, stub, [MADE_UP[TaskKind.CODE][1]], [use("code", 4)])
    assert made and all("assert" in one.tests[0] and one.answer.startswith("def ") for one in made)
    cities = {city: Span(start=9, end=9 + len(city), label="place") for city in ("Oslo", "Lima", "Rome")}
    places = [
        example(f"I fly to {city} on Monday", f"{city} = place", TaskKind.ENTITIES, spans=(span,))
        for city, span in cities.items()
    ]
    uses = [use("expand", 12), use("rewrite", 6)]
    run, made = await run_of(host, stub, places, uses, labels=("place",))
    assert prompts_of(made) == {"entities", "entities-paraphrase"}
    for one in made:
        marked = [one.text[span.start : span.end] for span in one.spans]
        assert marked == [word for word in one.text.split() if word in cities], one.text
        assert one.answer == "; ".join(f"{city} = place" for city in marked)
    calls = await calls_of(host, run)
    assert all(call["raw"] for call in calls if call["malformed"])


async def test_answers_that_lie_in_a_passage_are_kept_by_default_and_others_are_malformed(
    start: Start, teacher: FakeTeacher
) -> None:
    host, stub, _ = await open_generation(start, teacher)
    passages = [example(f"{text} {answer} " * 12, "") for text, answer in TASKS.items()]
    run, made = await run_of(host, stub, passages, [use("documents", 30)])
    calls = await calls_of(host, run)
    reasons = {reason for call in calls for reason in call["malformed"]}
    assert made and reasons == {"an answer says what the passage does not"}
    asked = 3 * len(calls)
    assert len(made) + sum(len(call["malformed"]) for call in calls) == asked
    for one in made:
        known = set(words(f"{one.evidence[0]} {one.text}"))
        names = {word.strip(".,").lower() for word in one.answer.split()[1:] if word[0].isupper()}
        assert names <= known and 2 * len(set(words(one.answer)) & known) >= len(set(words(one.answer)))


async def test_inputs_without_answers_are_answered_and_refused_by_what_needs_answers(
    start: Start, teacher: FakeTeacher
) -> None:
    host, stub, _ = await open_generation(start, teacher)
    inputs = [example(text, "") for text in TASKS]
    _, made = await run_of(host, stub, inputs, [use("answer", 3)])
    assert {one.text for one in made} == set(TASKS) and all(one.answer for one in made)
    assert {one.provenance.family for one in made} == {one.id for one in inputs}
    with pytest.raises(AssertionError, match="write them with the strategy answer"):
        await run_of(host, stub, inputs, [use("dialogue", 3)])


@pytest.mark.parametrize(("least", "kept"), [(0, 3), (1, 0)])
async def test_a_translation_that_does_not_come_back_is_malformed_and_kept_raw(
    start: Start, teacher: FakeTeacher, least: int, kept: int
) -> None:
    host, stub, _ = await open_generation(start, teacher)
    seeds = [example(text, answer) for text, answer in TASKS.items()]
    check = {"least": least, "template": "Translate from {{ axes.language }}.\n\n{{ draft }}"}
    run, made = await run_of(host, stub, seeds, [use("", 3, "translate", check=check)])
    calls = await calls_of(host, run)
    assert (len(made), len(calls), run.run.usage.calls) == (kept, 3, 6)
    assert {dict(call["axes"])["language"] for call in calls} == {"German", "French", "Spanish"}
    if not kept:
        assert all(call["raw"] and "put back" in call["malformed"][0] for call in calls)


@pytest.mark.parametrize(
    ("wrong", "field", "says"),
    [
        (use("rewrite", 3, "pairs"), "spec.strategies[0].prompt", "is for the strategy expand"),
        (use("code", 3), "spec.strategies[0]", "tasks of the kind code"),
        (use("rewrite", 3, axes={"tone": []}), "spec.strategies[0].params.axes.tone", "at least 1"),
        (use("rewrite", 3, check={"template": "{{ who }}"}), "spec.strategies[0].params.check.template", "'who'"),
        (use("rewrite", 3, check={"template": "{{ axes.tone }}"}), "spec.strategies[0].params.check.template", "tone"),
        (use("", 3, "translate", axes={"tone": ["x"]}), "spec.strategies[0].params.axes", "never names axes.tone"),
        (use("rewrite", 3, quotas={"seed": {"x": 1}}), "spec.strategies[0].params.quotas.seed.x", "none of this id"),
        (use("rewrite", 3, quotas={"label": {"x": 1}}), "spec.strategies[0].params.quotas.label", "no label is chosen"),
        (use("rewrite", 3, "paraphrase@1", axes={"tone": ["x"]}), "spec.strategies[0].params.axes", "never names axes"),
        (use("", 3, "translate", axes={"language": None}), "spec.strategies[0].prompt", "language"),
        (use("", 3, "contrast"), "spec.strategies[0].params", "a task of the kind classification"),
    ],
)
async def test_a_use_that_cannot_be_made_is_refused_with_its_field(
    start: Start, teacher: FakeTeacher, wrong: pb.StrategyUse, field: str, says: str
) -> None:
    host, stub, _ = await open_generation(start, teacher)
    with pytest.raises(grpc.aio.AioRpcError, match=says) as refused:
        await run_of(host, stub, [example("Name a tree.", "An oak.")], [wrong])
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert field in str(refused.value.trailing_metadata())


async def test_quotas_are_asked_for_and_refilled_and_the_coverage_says_what_they_want(
    start: Start, teacher: FakeTeacher
) -> None:
    _, stub, seeds_name = await open_generation(start, teacher)
    teacher.settings = FakeSettings(empty_rate=0.5)
    params = {"axes": {"tone": ["calm", "angry"]}, "quotas": {"label": {"refund": 30}, "tone": {"calm": 3}}}
    asked = pb.StrategyUse(strategy="rewrite", count=40, refill=True, params=encode_struct(params))
    request = pb.CreateGenerationRunRequest(parent=PARENT, spec=plan(seeds_name, asked))
    run = await finish(stub, await stub.CreateGenerationRun(request))
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    told = {part.value: (part.wanted, part.asked) for part in run.coverage if part.dimension != "seed"}
    assert told == {"refund": (30, 30), "delivery": (0, 10), "calm": (30, 30), "angry": (10, 10)}
    assert all(part.made >= part.asked for part in run.coverage if part.dimension == "label")
    assert run.run.progress.counts["answered"] + run.run.progress.counts["failed"] > 40


async def test_a_label_that_nothing_is_asked_of_stands_in_the_coverage(start: Start, teacher: FakeTeacher) -> None:
    _, stub, seeds_name = await open_generation(start, teacher)
    guided = encode_struct({"guidelines": {"other": "What belongs to none of the others."}})
    uses = [pb.StrategyUse(strategy="expand", count=4), pb.StrategyUse(strategy="expand", count=24, params=guided)]
    asked = plan(seeds_name, *uses)
    asked.task.labels.append("other")
    run = await finish(stub, await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=asked)))
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    told = {(part.use, part.value): part.asked for part in run.coverage if part.dimension == "label"}
    assert told[0, "other"] == 0 and told[1, "other"] > 0


async def test_a_seed_that_no_prompt_can_show_is_one_failed_call_with_its_cause(
    start: Start, teacher: FakeTeacher
) -> None:
    host, stub, _ = await open_generation(start, teacher)
    seeds = [example(f"Name tree number {number}.", "An oak.") for number in range(9)]
    seeds.append(example("x" * 100_001, "An oak."))
    run, made = await run_of(host, stub, seeds, [use("rewrite", 10)])
    counts, calls = run.run.progress.counts, await calls_of(host, run)
    assert (counts["answered"], counts["failed"], len(made), teacher.stats.calls) == (9, 1, 9, 9)
    (failed,) = [call for call in calls if call["state"] == "failed"]
    assert failed["seeds"] == [seeds[-1].id] and "characters, 100000 at most" in failed["cause"]


async def test_a_check_that_cannot_be_asked_leaves_its_candidate_out(start: Start, teacher: FakeTeacher) -> None:
    host, stub, _ = await open_generation(start, teacher)
    seeds = [example(text, answer) for text, answer in TASKS.items()]
    check = {"template": "{{ draft }}{% if draft | length > 20 %}{{ 1 // 0 }}{% endif %}"}
    run, made = await run_of(host, stub, seeds, [use("rewrite", 3, check=check)])
    told = [reason for call in await calls_of(host, run) for reason in call["malformed"]]
    assert not made and len(told) == run.run.progress.counts["answered"] == 3
    assert all("the check could not be made" in reason and "division" in reason for reason in told)


async def test_what_comes_short_is_asked_for_again_and_the_coverage_says_so(start: Start, teacher: FakeTeacher) -> None:
    host, stub, seeds_name = await open_generation(start, teacher)
    teacher.settings = FakeSettings(empty_rate=0.4)
    asked = pb.StrategyUse(
        strategy="rewrite", count=60, refill=True, params=encode_struct({"axes": {"tone": ["calm", "angry"]}})
    )
    run = await finish(
        stub,
        await stub.CreateGenerationRun(
            pb.CreateGenerationRunRequest(parent=PARENT, spec=plan(seeds_name, asked), request_id="refilled")
        ),
    )
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    calls, counts = await calls_of(host, run), run.run.progress.counts
    assert 60 < len(calls) <= 120
    assert counts["answered"] + counts["failed"] == len(calls) == len({call["id"] for call in calls})
    labels = {part.value: (part.asked, part.made) for part in run.coverage if part.dimension == "label"}
    assert set(labels) == {"refund", "delivery"} and all(made >= asked == 30 for asked, made in labels.values())
    tones = [part for part in run.coverage if part.dimension == "axis tone"]
    assert [part.asked for part in tones] == [30, 30] and all(part.made >= 30 for part in tones)
    assert sum(part.made for part in tones) == counts["candidates"]
    assert len([part for part in run.coverage if part.dimension == "seed"]) == 6
