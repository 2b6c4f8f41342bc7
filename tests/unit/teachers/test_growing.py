"""Answers as they grow: whatever is shown in parts is the whole, and nothing that is to be left out is shown."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future

import pytest
from cultivar_generation.teachers.errors import EngineFailed, Overloaded
from cultivar_generation.teachers.growing import Growing, GrowingText, Piece
from cultivar_generation.teachers.tokens import StopFinder, Tokens
from cultivar_generation.teachers.work import GenerateWork, Made, SamplingRules, TokenChoice
from hypothesis import given
from hypothesis import strategies as st

TEXTS = st.text(alphabet="aäb\n🙂 E", max_size=40)


def choices_of(tokens: Tokens, text: str) -> list[TokenChoice]:
    return [TokenChoice(token, -1.0) for token in tokens.encode(text).tokens]


def shown(tokens: Tokens, text: str, stops: Sequence[str]) -> tuple[list[str], Made, list[TokenChoice]]:
    """Returns the pieces of an answer that the engine makes out of a text, the whole of it, and the tokens shown."""
    finder, growing, made, pieces = StopFinder(tokens, stops), GrowingText(tokens, stops), [], []
    told: list[TokenChoice] = []
    for choice in choices_of(tokens, text):
        made.append(choice)
        if finder.reached([one.token for one in made]):
            break
        piece, choices = growing.add(choice)
        pieces.append(piece)
        told += choices
    whole = Made(finder.cut(tokens.decode([one.token for one in made])), "stop", tuple(made), len(made))
    piece, choices = growing.finish(whole)
    return [*pieces, piece], whole, [*told, *choices]


@given(TEXTS, st.lists(st.sampled_from(["END", "\n\n", "ab", "🙂", "E E"]), max_size=2))
def test_the_pieces_together_are_the_whole_whatever_stops_it(tiny_tokens: Tokens, text: str, stops: list[str]) -> None:
    pieces, whole, told = shown(tiny_tokens, text, stops)
    assert "".join(pieces) == whole.text
    assert tuple(told) == whole.choices
    assert not any("\ufffd" in piece for piece in pieces)


def test_what_may_become_a_stop_string_is_held_back(tiny_tokens: Tokens) -> None:
    pieces, whole, _ = shown(tiny_tokens, "one ENtry and END of it", ["END"])
    assert whole.text == "one ENtry and "
    assert pieces[4:8] == ["", "", "ENt", "r"]
    assert pieces[-3:] == ["", "", ""]


def test_the_tokens_of_a_stop_string_are_not_told_before_the_end(tiny_tokens: Tokens) -> None:
    growing = GrowingText(tiny_tokens, ["END"])
    told = [growing.add(choice)[1] for choice in choices_of(tiny_tokens, "aEN")]
    assert [len(choices) for choices in told] == [1, 0, 0]


def test_a_character_of_several_tokens_comes_in_one_piece(tiny_tokens: Tokens) -> None:
    pieces, _, _ = shown(tiny_tokens, "a🙂b", [])
    assert pieces == ["a", "", "", "", "🙂", "b", ""]


def work(most: int = 9) -> GenerateWork:
    return GenerateWork((1,), SamplingRules(max_tokens=most))


def submit(one: GenerateWork) -> "Future[Made]":
    return one.future


async def pieces_of(growing: Growing) -> list[Piece]:
    return [piece async for piece in growing.pieces()]


async def test_choices_grow_side_by_side_and_what_came_together_is_one_piece(tiny_tokens: Tokens) -> None:
    works = [work(), work()]
    growing = Growing(works, tiny_tokens)
    growing.start(submit)
    for one, text in zip(works, ("abc", "de"), strict=True):
        assert one.told is not None
        for choice in choices_of(tiny_tokens, text):
            one.told(choice)
        one.finish(Made(text, "length", tuple(choices_of(tiny_tokens, text)), len(text)))
    found = await asyncio.wait_for(pieces_of(growing), 5)
    assert [(piece.choice, piece.text, piece.made is not None) for piece in found] == [
        (0, "abc", True),
        (1, "de", True),
    ]


async def test_an_engine_that_fails_fails_the_stream(tiny_tokens: Tokens) -> None:
    one = work()
    growing = Growing([one], tiny_tokens)
    growing.start(submit)
    one.fail(ValueError("the secret text"))
    with pytest.raises(EngineFailed):
        await asyncio.wait_for(pieces_of(growing), 5)


async def test_when_one_choice_finds_the_queue_full_none_is_left_in_it(tiny_tokens: Tokens) -> None:
    works = [work(), work()]

    def full_after_one(one: GenerateWork) -> "Future[Made]":
        if one is works[1]:
            raise Overloaded(3)
        return one.future

    with pytest.raises(Overloaded):
        Growing(works, tiny_tokens).start(full_after_one)
    assert works[0].dropped


def test_a_reader_whose_loop_has_ended_costs_the_engine_nothing(tiny_tokens: Tokens) -> None:
    one = work()

    async def begin() -> None:
        Growing([one], tiny_tokens).start(submit)

    asyncio.run(begin())
    assert one.told is not None
    one.told(TokenChoice(5, 0.0))
    assert one.dropped
