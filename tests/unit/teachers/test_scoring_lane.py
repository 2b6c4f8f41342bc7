import pytest
import torch
from cultivar_generation.teachers.decoder import Decoder
from cultivar_generation.teachers.generation_lane import Limits
from cultivar_generation.teachers.scoring_lane import ScoringLane
from cultivar_generation.teachers.work import Scored, ScoreWork
from hypothesis import given, settings
from hypothesis import strategies as st

PROMPTS = [(5, 6, 7, 8), (5, 6, 7, 9, 10), (5, 6), (40,), (5, 6, 7, 8)]


def finish(lane: ScoringLane, works: list[ScoreWork]) -> list[list[Scored]]:
    for work in works:
        lane.add(work)
    while lane.busy:
        lane.step()
    return [work.future.result(0) for work in works]


def plain(decoder: Decoder, prompt: tuple[int, ...]) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = decoder.model(torch.tensor([prompt])).logits[0].log_softmax(-1)
    return found


@pytest.mark.parametrize("run_tokens", [1, 3, 256])
def test_scores_are_those_of_each_prompt_alone(tiny_decoder: Decoder, run_tokens: int) -> None:
    lane = ScoringLane(tiny_decoder, Limits(run_tokens=run_tokens))
    (found,) = finish(lane, [ScoreWork(PROMPTS)])
    for prompt, scored in zip(PROMPTS, found, strict=True):
        expected = plain(tiny_decoder, prompt)
        assert scored.logprobs[0] is None
        wanted = [float(expected[place, token]) for place, token in enumerate(prompt[1:])]
        assert list(scored.logprobs[1:]) == pytest.approx(wanted, abs=1e-4)


prompts = st.lists(st.lists(st.integers(2, 5), min_size=1, max_size=6).map(tuple), min_size=1, max_size=6)


@settings(max_examples=15, deadline=None)
@given(prompts, st.integers(1, 8))
def test_scores_do_not_depend_on_what_else_is_scored(
    tiny_decoder: Decoder, prompts: list[tuple[int, ...]], run_tokens: int
) -> None:
    (together,) = finish(ScoringLane(tiny_decoder, Limits(run_tokens=run_tokens)), [ScoreWork(prompts)])
    for prompt, scored in zip(prompts, together, strict=True):
        ((alone,),) = finish(ScoringLane(tiny_decoder, Limits()), [ScoreWork([prompt])])
        assert list(scored.logprobs[1:]) == pytest.approx(list(alone.logprobs[1:]), abs=1e-4)


def test_the_likeliest_tokens_of_each_place_are_reported(tiny_decoder: Decoder) -> None:
    ((scored,),) = finish(ScoringLane(tiny_decoder, Limits()), [ScoreWork([(5, 6, 7)], top=3)])
    assert scored.tops[0] == ()
    values, tokens = plain(tiny_decoder, (5, 6, 7))[0].topk(3)
    assert [token for token, _ in scored.tops[1]] == tokens.tolist()
    assert [value for _, value in scored.tops[1]] == pytest.approx(values.tolist(), abs=1e-4)


def test_what_comes_next_is_told_when_it_is_asked_for(tiny_decoder: Decoder) -> None:
    works = [ScoreWork(PROMPTS, with_next=True), ScoreWork(PROMPTS)]
    told, untold = finish(ScoringLane(tiny_decoder, Limits()), works)
    for prompt, scored in zip(PROMPTS, told, strict=True):
        assert scored.next is not None
        assert scored.next.token == int(plain(tiny_decoder, prompt)[-1].argmax())
    assert all(scored.next is None for scored in untold)


def test_scores_are_the_same_after_a_request_that_began_alike(tiny_decoder: Decoder) -> None:
    lane = ScoringLane(tiny_decoder, Limits())
    fresh = finish(ScoringLane(tiny_decoder, Limits()), [ScoreWork(PROMPTS, top=2)])
    for _ in range(3):
        again = finish(lane, [ScoreWork(PROMPTS, top=2)])
        for one, other in zip(fresh[0], again[0], strict=True):
            assert list(one.logprobs[1:]) == pytest.approx(list(other.logprobs[1:]), abs=1e-4)
            assert [[token for token, _ in top] for top in one.tops] == [
                [token for token, _ in top] for top in other.tops
            ]


def test_a_request_is_answered_as_soon_as_its_own_prompts_are_read(tiny_decoder: Decoder) -> None:
    lane = ScoringLane(tiny_decoder, Limits(run_tokens=2))
    early, late = ScoreWork([(5, 6)]), ScoreWork([(5, 7), (8, 9, 10, 11)])
    lane.add(late)
    lane.add(early)
    lane.step()
    assert (early.future.done(), late.future.done()) == (True, False)


def test_requests_are_gathered_only_up_to_the_bound(tiny_decoder: Decoder) -> None:
    lane = ScoringLane(tiny_decoder, Limits(tree_tokens=10))
    works = [ScoreWork([(10 * place, 2, 3, 4)]) for place in range(1, 6)]
    for work in works:
        lane.add(work)
    lane.step()
    assert [work.future.done() for work in works] == [True, True, False, False, False]


def test_what_requests_share_does_not_count_against_the_bound(tiny_decoder: Decoder) -> None:
    lane = ScoringLane(tiny_decoder, Limits(tree_tokens=10))
    works = [ScoreWork([(5, 6, 7, place)]) for place in range(10, 15)]
    for work in works:
        lane.add(work)
    lane.step()
    assert all(work.future.done() for work in works)


def test_a_request_that_nobody_waits_for_is_not_read(tiny_decoder: Decoder) -> None:
    lane = ScoringLane(tiny_decoder, Limits(run_tokens=1))
    dropped, kept = ScoreWork([(5, 6, 7, 8)]), ScoreWork([(6, 7)])
    lane.add(dropped)
    lane.step()
    dropped.future.cancel()
    lane.add(kept)
    for _ in range(2):
        lane.step()
    assert kept.future.done()


def test_after_a_failure_the_lane_is_empty_and_works_again(tiny_decoder: Decoder) -> None:
    lane = ScoringLane(tiny_decoder, Limits(run_tokens=1))
    work = ScoreWork(PROMPTS)
    lane.add(work)
    lane.step()
    lane.fail(RuntimeError("broken"))
    assert isinstance(work.future.exception(0), RuntimeError)
    assert not lane.busy
    assert finish(lane, [ScoreWork([(5, 6)])])
