from random import Random
from typing import Any

import pytest
from cultivar_generation.made_up import TASKS, made_up_seeds
from cultivar_generation.plan import Call, Use, sampling_of
from cultivar_generation.prompts import shipped
from cultivar_generation.strategies import STRATEGIES, Pool
from cultivar_models import Sampling
from cultivar_records import TaskKind
from pydantic import ValidationError


def call_of(strategy: str, prompt: str, kind: TaskKind = TaskKind.INSTRUCTION, **params: Any) -> Call:
    """Returns the first call of a use."""
    config = STRATEGIES[strategy].Config.model_validate(params)
    newest = max(shipped()[prompt].items())[1]
    use = Use(
        strategy=strategy,
        params=config.model_dump(mode="json"),
        prompt=newest.versioned_name,
        prompt_digest=newest.digest,
        count=1,
    )
    task = TASKS[kind]
    plan = STRATEGIES[strategy].plan(0, Pool(made_up_seeds(task, 4)), task, config, Random(0))
    return Call("0-0", use, newest, plan, "", 7, {})


def sampled(call: Call, max_tokens: int = 128) -> Sampling:
    """Samples it as a teacher with these most tokens."""
    return sampling_of(call, 0.8, 0.95, max_tokens)


def test_a_call_is_sampled_as_its_teacher_has_it() -> None:
    assert sampled(call_of("rewrite", "paraphrase")) == Sampling(0.8, 0.95, 128, seed=7)


@pytest.mark.parametrize(
    ("strategy", "prompt", "kind"),
    [
        ("code", "code", TaskKind.CODE),
        ("dialogue", "dialogue", TaskKind.INSTRUCTION),
        ("documents", "documents", TaskKind.INSTRUCTION),
        ("expand", "pairs", TaskKind.INSTRUCTION),
        ("preference", "preference-pair", TaskKind.INSTRUCTION),
    ],
)
def test_answers_that_are_long_have_room_and_no_less_than_the_teacher_gives(
    strategy: str, prompt: str, kind: TaskKind
) -> None:
    call = call_of(strategy, prompt, kind)
    assert sampled(call).max_tokens > 300
    assert sampled(call, 4096).max_tokens == 4096


def test_a_use_may_be_sampled_in_its_own_way() -> None:
    call = call_of("code", "code", TaskKind.CODE, temperature=0, top_p=0.5, max_tokens=200)
    assert sampled(call) == Sampling(0.0, 0.5, 200, seed=7)


def test_parameters_that_say_nothing_of_sampling_stay_as_they_were() -> None:
    assert not {"temperature", "top_p", "max_tokens"} & call_of("rewrite", "paraphrase").use.params.keys()


@pytest.mark.parametrize("params", [{"temperature": 2.1}, {"top_p": 0}, {"max_tokens": 0}])
def test_sampling_outside_its_ranges_is_refused(params: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(params))):
        STRATEGIES["expand"].Config.model_validate(params)
