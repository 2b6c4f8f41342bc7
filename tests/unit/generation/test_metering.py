"""What a run asks of its teachers is in the metrics, by the teacher's name."""

from typing import cast

import pytest
from cultivar_generation.asking import opened
from cultivar_generation.teacher import TeacherSpec
from cultivar_models import MemoryRecorder, ModelError, Recorder, Sampling
from cultivar_models.fake import FakeTeacher
from cultivar_service.parts import Models
from prometheus_client import REGISTRY

ASKED = [{"role": "user", "content": "Where is my new card?"}]


def value(name: str, **labels: str) -> float:
    """A metric's value; 0 where it was never set."""
    return REGISTRY.get_sample_value(f"cultivar_model_{name}", labels) or 0.0


async def ask(teacher: FakeTeacher, name: str, recorder: Recorder | None = None) -> None:
    """Asks a teacher of a name once."""
    spec = TeacherSpec(url=teacher.url, model="fake-teacher", concurrency=3)
    async with opened({name: spec}, cast(Models, None), recorder, retries=0) as asked:
        await asked[name].client.chat(ASKED, Sampling())


async def test_an_answer_is_counted_with_its_tokens_its_seconds_and_the_limit() -> None:
    async with FakeTeacher() as teacher:
        await ask(teacher, "metered")
        await ask(teacher, "metered")
    assert value("calls_total", teacher="metered", outcome="answered") == 2
    assert value("tokens_total", teacher="metered", kind="prompt") > 2
    assert value("tokens_total", teacher="metered", kind="completion") > 2
    assert value("call_seconds_count", teacher="metered") == 2
    assert 0 < value("call_seconds_sum", teacher="metered") < 10
    assert value("calls_limit", teacher="metered") == 3


async def test_a_recorded_answer_is_no_call() -> None:
    recorder = MemoryRecorder()
    async with FakeTeacher() as teacher:
        for _ in range(3):
            await ask(teacher, "recorded", recorder)
    assert value("calls_total", teacher="recorded", outcome="answered") == 1


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [({"api_key": "another"}, "refused"), ({"error_rate": 1}, "failed"), ({"broken_rate": 1}, "failed")],
)
async def test_a_call_that_comes_to_nothing_is_refused_or_failed(fault: dict[str, object], outcome: str) -> None:
    name = f"faulty-{'-'.join(fault)}"
    async with FakeTeacher(**fault) as teacher:
        with pytest.raises(ModelError):
            await ask(teacher, name)
    assert value("calls_total", teacher=name, outcome=outcome) == 1
    assert value("calls_total", teacher=name, outcome="answered") == 0
