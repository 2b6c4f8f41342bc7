from typing import Any

import pytest
import torch
from cultivar_generation.teachers.decoder import Decoder, TreeReader, UnsupportedModel, require_supported
from cultivar_generation.teachers.keys_values import WIDTH_STEP, RowMemory

PROMPTS = [[5, 6, 7, 8, 9, 10], [5, 6, 7, 8], [5, 6, 11, 12, 13], [20], [20, 21, 22], [5, 6, 7, 8, 9, 10]]


def plain_logits(model: Any, tokens: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = model(torch.tensor([tokens])).logits[0]
    return logits


@pytest.mark.parametrize("budget", [1, 2, 3, 5, 100])
def test_a_tree_read_in_runs_gives_what_each_prompt_alone_gives(tiny_decoder: Decoder, budget: int) -> None:
    reader = TreeReader(tiny_decoder, PROMPTS, budget)
    logits: dict[int, torch.Tensor] = {}
    while not reader.done:
        run, hidden = reader.next()
        logits |= dict(zip(range(run.first, run.last), tiny_decoder.logits(hidden), strict=True))
    for prompt, end in zip(PROMPTS, reader.tree.ends, strict=True):
        read = torch.stack([logits[node] for node in reader.tree.path(end)])
        torch.testing.assert_close(read, plain_logits(tiny_decoder.model, prompt), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("before", [[5, 6, 7, 8, 9, 10], [5, 6, 7, 9], [20], [60, 61], [5, 6, 7, 8, 9, 10, 11, 12]])
@pytest.mark.parametrize("budget", [1, 3, 100])
def test_what_was_read_before_is_not_read_again_and_changes_nothing(
    tiny_decoder: Decoder, before: list[int], budget: int
) -> None:
    earlier = TreeReader(tiny_decoder, [before], 100)
    earlier.next()
    reader = TreeReader(tiny_decoder, PROMPTS, budget, earlier.read_to(len(before) - 1))
    assert reader.known_hidden is not None
    logits = dict(enumerate(tiny_decoder.logits(reader.known_hidden)))
    rows = RowMemory()
    lasts = []
    while not reader.done:
        run, hidden = reader.next()
        logits |= dict(zip(range(run.first, run.last), tiny_decoder.logits(hidden), strict=True))
        for prompt, end in zip(PROMPTS, reader.tree.ends, strict=True):
            if run.first <= end < run.last:
                rows.add(reader.read_to(end).pairs)
                lasts.append(prompt)
    for prompt, end in zip(PROMPTS, reader.tree.ends, strict=True):
        read = torch.stack([logits[node] for node in reader.tree.path(end)])
        torch.testing.assert_close(read, plain_logits(tiny_decoder.model, prompt), atol=1e-4, rtol=1e-4)
    assert sorted(lasts) == sorted(PROMPTS)
    for prompt, row in zip(lasts, tiny_decoder.step([30] * len(lasts), rows), strict=True):
        torch.testing.assert_close(row, plain_logits(tiny_decoder.model, [*prompt, 30])[-1], atol=1e-4, rtol=1e-4)


def rows_of(decoder: Decoder, prompts: list[list[int]]) -> RowMemory:
    rows = RowMemory()
    reader = TreeReader(decoder, prompts, 1_000)
    reader.next()
    for end in reader.tree.ends:
        rows.add(reader.read_to(end).pairs)
    return rows


def test_rows_of_different_lengths_go_on_as_if_each_were_alone(tiny_decoder: Decoder) -> None:
    rows = rows_of(tiny_decoder, PROMPTS)
    for token in (30, 31):
        logits = tiny_decoder.step([token] * len(PROMPTS), rows)
    for prompt, row in zip(PROMPTS, logits, strict=True):
        expected = plain_logits(tiny_decoder.model, [*prompt, 30, 31])[-1]
        torch.testing.assert_close(row, expected, atol=1e-4, rtol=1e-4)


def test_rows_that_leave_and_come_change_no_other_row(tiny_decoder: Decoder) -> None:
    rows = rows_of(tiny_decoder, PROMPTS[:4])
    tiny_decoder.step([30, 31, 32, 33], rows)
    rows.remove(1)
    reader = TreeReader(tiny_decoder, [PROMPTS[4]], 100)
    reader.next()
    rows.add(reader.read_to(reader.tree.ends[0]).pairs)
    logits = tiny_decoder.step([40, 41, 42, 43], rows)
    # The last row has taken the place of the one that left.
    said = [[*PROMPTS[0], 30, 40], [*PROMPTS[3], 33, 41], [*PROMPTS[2], 32, 42], [*PROMPTS[4], 43]]
    for tokens, row in zip(said, logits, strict=True):
        torch.testing.assert_close(row, plain_logits(tiny_decoder.model, tokens)[-1], atol=1e-4, rtol=1e-4)


def test_the_memory_is_given_back_when_the_last_row_leaves(tiny_decoder: Decoder) -> None:
    rows = rows_of(tiny_decoder, [[5, 6]])
    assert rows.bytes > 0
    rows.remove(0)
    assert rows.bytes == 0


def test_rows_can_grow_past_the_room_they_began_with(tiny_decoder: Decoder) -> None:
    said = [2 + place % 50 for place in range(WIDTH_STEP - 2)]
    rows = rows_of(tiny_decoder, [said])
    for token in range(2, 8):
        logits = tiny_decoder.step([token], rows)
        said = [*said, token]
    torch.testing.assert_close(logits[0], plain_logits(tiny_decoder.model, said)[-1], atol=1e-4, rtol=1e-4)


def test_a_plain_model_is_supported(tiny_decoder: Decoder) -> None:
    require_supported(tiny_decoder)
    assert torch.isfinite(tiny_decoder.step([7], rows_of(tiny_decoder, [[5, 6]]))).all()


def test_a_model_with_a_sliding_window_is_refused() -> None:
    from transformers import MistralConfig, MistralForCausalLM

    config = MistralConfig(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=4,
    )
    with pytest.raises(UnsupportedModel, match="window"):
        require_supported(Decoder(MistralForCausalLM(config).eval()))
