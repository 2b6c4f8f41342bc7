"""What of a teacher stays as it was when a run was made, and what is read anew."""

from cultivar_generation.freezing import FREE, FrozenTeacher, as_frozen, freeze
from cultivar_generation.teacher import Probe, TeacherSpec

BEFORE = TeacherSpec(
    url="http://a/v1", model="large", temperature=0.8, licence="ours", probe=Probe(state="fine", structured_output=True)
)
AFTER = TeacherSpec(
    url="http://b/v1", credential="env:NEW", model="small", temperature=0.1, concurrency=2, prompt_price=3.0
)


def test_every_field_of_a_teacher_is_either_frozen_or_read_anew() -> None:
    frozen = set(FrozenTeacher.model_fields) - {"takes_schemas"} | {"structured_output"}
    assert not frozen & FREE and frozen | FREE == set(TeacherSpec.model_fields)


def test_a_run_keeps_what_decides_its_answers_and_follows_where_they_come_from() -> None:
    found = as_frozen(AFTER, freeze(BEFORE))
    assert (found.url, found.credential, found.concurrency) == ("http://b/v1", "env:NEW", 2)
    assert (found.model, found.temperature, found.licence, found.prompt_price) == ("large", 0.8, "ours", 0.0)
    assert found.takes_schemas and not as_frozen(BEFORE, freeze(AFTER)).takes_schemas


def test_a_run_of_before_teachers_were_frozen_takes_them_as_they_are() -> None:
    assert as_frozen(AFTER, None) == AFTER
