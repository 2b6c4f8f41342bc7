import gc
from typing import Any

import pytest
import torch
from cultivar_generation.teachers.allowance import Allowance
from cultivar_generation.teachers.decoder import Decoder
from cultivar_generation.teachers.generation_lane import GenerationLane, Limits
from cultivar_generation.teachers.tokens import Tokens
from cultivar_generation.teachers.work import GenerateWork, Made, SamplingRules

PROMPTS = [(5, 6, 7), (5, 6, 7, 8, 9), (40,), (41, 42), (5, 6), (100, 101, 102, 103)]


def greedy(max_tokens: int = 8, **rules: Any) -> SamplingRules:
    return SamplingRules(temperature=0.0, max_tokens=max_tokens, **rules)


def finish(lane: GenerationLane, works: list[GenerateWork]) -> list[Made]:
    for work in works:
        lane.add(work)
    steps = 0
    while lane.busy:
        lane.step()
        steps += 1
        assert steps < 1_000
    return [work.future.result(0) for work in works]


def plain(model: Any, prompt: tuple[int, ...], count: int) -> list[int]:
    said = model.generate(
        torch.tensor([prompt]),
        max_new_tokens=count,
        do_sample=False,
        pad_token_id=1,
        attention_mask=torch.ones(1, len(prompt)),
    )
    return [token for token in said[0, len(prompt) :].tolist() if token != 1]


@pytest.mark.parametrize("rows", [1, 2, 64])
@pytest.mark.parametrize("run_tokens", [2, 256])
def test_answers_are_those_of_the_model_alone(
    tiny_decoder: Decoder, tiny_tokens: Tokens, rows: int, run_tokens: int
) -> None:
    lane = GenerationLane(tiny_decoder, tiny_tokens, Limits(rows=rows, run_tokens=run_tokens))
    works = [GenerateWork(prompt, greedy(5 + place)) for place, prompt in enumerate(PROMPTS)]
    for work, made in zip(works, finish(lane, works), strict=True):
        assert [choice.token for choice in made.choices] == plain(
            tiny_decoder.model, work.prompt, work.rules.max_tokens
        )


def test_answers_are_the_same_after_prompts_that_began_alike(tiny_decoder: Decoder, tiny_tokens: Tokens) -> None:
    lane = GenerationLane(tiny_decoder, tiny_tokens, Limits(rows=2))
    for _ in range(2):
        for prompt in PROMPTS:
            (made,) = finish(lane, [GenerateWork(prompt, greedy(4))])
            assert [choice.token for choice in made.choices] == plain(tiny_decoder.model, prompt, 4)


def test_an_answer_that_reaches_its_bound_says_length(tiny_decoder: Decoder, tiny_tokens: Tokens) -> None:
    (made,) = finish(GenerationLane(tiny_decoder, tiny_tokens, Limits()), [GenerateWork((5,), greedy(3))])
    assert (made.finish_reason, made.tokens) == ("length", 3)


def test_an_answer_ends_before_the_end_token(tiny_decoder: Decoder, tiny_tokenizer: Any) -> None:
    lane = GenerationLane(tiny_decoder, Tokens(tiny_tokenizer, [1]), Limits())
    (whole,) = finish(lane, [GenerateWork((5, 6), greedy(6))])
    said = [choice.token for choice in whole.choices]
    ending = Tokens(tiny_tokenizer, [said[2]])
    (made,) = finish(GenerationLane(tiny_decoder, ending, Limits()), [GenerateWork((5, 6), greedy(6))])
    first = said.index(said[2])
    assert [choice.token for choice in made.choices] == said[:first]
    assert (made.finish_reason, made.tokens) == ("stop", first + 1)


def test_a_stop_string_ends_the_answer_before_it(tiny_decoder: Decoder, tiny_tokens: Tokens) -> None:
    def lane() -> GenerationLane:
        return GenerationLane(tiny_decoder, tiny_tokens, Limits())

    (whole,) = finish(lane(), [GenerateWork((60, 61), greedy(12))])
    stop = whole.text[3:5]
    (made,) = finish(lane(), [GenerateWork((60, 61), greedy(12, stop=(stop, "never said")))])
    assert made.text == whole.text[: whole.text.index(stop)]
    assert made.finish_reason == "stop"


def test_a_seed_gives_the_same_answer_alone_and_in_company(tiny_decoder: Decoder, tiny_tokens: Tokens) -> None:
    def seeded(choice: int = 0) -> GenerateWork:
        return GenerateWork((5, 6, 7), SamplingRules(max_tokens=10, seed=9, choice=choice, top_p=0.95))

    (alone,) = finish(GenerationLane(tiny_decoder, tiny_tokens, Limits()), [seeded()])
    others = [GenerateWork(prompt, SamplingRules(max_tokens=7)) for prompt in PROMPTS]
    found = finish(GenerationLane(tiny_decoder, tiny_tokens, Limits(rows=4)), [*others, seeded(), seeded(1)])
    assert found[-2].choices == alone.choices
    assert found[-1].choices != alone.choices


def test_rows_are_bounded_by_the_memory_they_need(tiny_decoder: Decoder, tiny_tokens: Tokens) -> None:
    lane = GenerationLane(tiny_decoder, tiny_tokens, Limits(row_tokens=48))
    works = [GenerateWork((5, 6, 7, 8), greedy(12, stop=())) for _ in range(5)]
    for work in works:
        lane.add(work)
    lane.step()
    # Each may get 16 tokens long: three have room.
    assert len(lane._rows) == 3
    finish(lane, [])
    assert all(work.future.done() for work in works)


def test_work_larger_than_the_bound_still_gets_its_turn_alone(tiny_decoder: Decoder, tiny_tokens: Tokens) -> None:
    lane = GenerationLane(tiny_decoder, tiny_tokens, Limits(row_tokens=4))
    assert len(finish(lane, [GenerateWork((5, 6, 7), greedy(4)) for _ in range(2)])) == 2


def stepped(lanes: list[GenerationLane]) -> int:
    """Steps lanes in turn, as the engine does, and returns the most tokens that they ever held."""
    most = steps = 0
    while any(lane.busy for lane in lanes):
        for lane in lanes:
            if lane.busy:
                lane.step()
            most = max(most, sum(lane.held for lane in lanes))
        steps += 1
        assert steps < 2_000
    return most


def test_lanes_that_share_an_allowance_keep_to_it_together(tiny_decoder: Decoder, tiny_tokens: Tokens) -> None:
    allowance = Allowance(64)
    lanes = [GenerationLane(tiny_decoder, tiny_tokens, Limits(), allowance) for _ in range(3)]
    works = [GenerateWork(prompt, greedy(5 + place)) for place, prompt in enumerate(PROMPTS * 3)]
    for place, work in enumerate(works):
        lanes[place % 3].add(work)
    assert 32 < stepped(lanes) <= 64
    for place, work in enumerate(works):
        said = [choice.token for choice in work.future.result(0).choices]
        assert said == plain(tiny_decoder.model, PROMPTS[place % len(PROMPTS)], 5 + place)


def test_a_lane_that_is_dropped_or_failed_or_left_gives_its_tokens_back(
    tiny_decoder: Decoder, tiny_tokens: Tokens
) -> None:
    allowance = Allowance(20)
    dropped, failed, left, last = (GenerationLane(tiny_decoder, tiny_tokens, Limits(), allowance) for _ in range(4))
    dropped.add(GenerateWork((5, 6, 7, 8), greedy(16)))
    dropped.step()
    waiting = [GenerateWork((5, 6, 7, 8), greedy(8)) for _ in range(3)]
    for lane, work in zip((failed, left, last), waiting, strict=True):
        lane.add(work)
        lane.step()
    assert [lane.held for lane in (dropped, failed, left, last)] == [20, 0, 0, 0]
    failed.fail(RuntimeError("broken"))
    waiting[1].future.cancel()
    left.step()
    del dropped, lane
    gc.collect()
    assert len(finish(last, [])) == 0
    assert waiting[2].future.result(0).tokens > 0


def test_dropped_work_leaves_and_the_rest_goes_on(tiny_decoder: Decoder, tiny_tokens: Tokens) -> None:
    lane = GenerationLane(tiny_decoder, tiny_tokens, Limits(rows=3))
    works = [GenerateWork(prompt, greedy(8)) for prompt in PROMPTS]
    for work in works:
        lane.add(work)
    lane.step()
    for work in (works[0], works[4]):
        work.future.cancel()
    finish(lane, [])
    for place in (1, 2, 3, 5):
        said = [choice.token for choice in works[place].future.result(0).choices]
        assert said == plain(tiny_decoder.model, PROMPTS[place], 8)


def test_after_a_failure_the_lane_is_empty_and_works_again(tiny_decoder: Decoder, tiny_tokens: Tokens) -> None:
    lane = GenerationLane(tiny_decoder, tiny_tokens, Limits(rows=2))
    works = [GenerateWork(prompt, greedy(8)) for prompt in PROMPTS]
    for work in works:
        lane.add(work)
    lane.step()
    lane.fail(RuntimeError("broken"))
    assert not lane.busy
    assert all(isinstance(work.future.exception(0), RuntimeError) for work in works)
    assert finish(lane, [GenerateWork((5,), greedy(2))])[0].tokens == 2


class CountingDecoder(Decoder):
    """A decoder that notes how many rows each step has."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.rows: list[int] = []

    def step(self, tokens: Any, rows: Any) -> torch.Tensor:
        self.rows.append(len(tokens))
        return super().step(tokens, rows)


def test_rows_that_came_together_go_on_together(tiny_model: Any, tiny_tokens: Tokens) -> None:
    decoder = CountingDecoder(tiny_model)
    lane = GenerationLane(decoder, tiny_tokens, Limits(run_tokens=4))
    finish(lane, [GenerateWork((place, 5, 6), greedy(5)) for place in range(10, 20)])
    assert decoder.rows[0] >= 5
    assert len(decoder.rows) <= 4 + 4


def test_a_row_does_not_wait_for_long_while_others_are_read(tiny_model: Any, tiny_tokens: Tokens) -> None:
    decoder = CountingDecoder(tiny_model)
    lane = GenerationLane(decoder, tiny_tokens, Limits(run_tokens=2))
    for place in range(40, 60):
        lane.add(GenerateWork((place, place, place, place), greedy(3)))
    for _ in range(2 + 8 + 1):
        lane.step()
    assert decoder.rows
