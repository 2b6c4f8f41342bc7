import pytest
from cultivar_artifacts import Alias, MemoryStore, save_alias
from cultivar_generation.own_models import answering, own_model
from cultivar_generation.teacher import TeacherSpec
from cultivar_models import Answer, TokenUsage
from cultivar_service.errors import InvalidArgument

DIGEST = "1" * 64


@pytest.fixture
async def store() -> MemoryStore:
    store = MemoryStore()
    for project in ("support", "sales"):
        champion = Alias(project=project, alias="champion", adapter=DIGEST, base_model="small", revision=1)
        await save_alias(store, champion)
    return store


@pytest.mark.parametrize("model", ["champion", "support/champion", "small:support/champion"])
async def test_an_alias_of_the_project_is_named_as_the_application_names_it(store: MemoryStore, model: str) -> None:
    assert (await own_model(store, "support", TeacherSpec(model=model))).model == "small:support/champion"


@pytest.mark.parametrize(
    "model", ["smollm2-135m-instruct", "Qwen/Qwen3-8B", f"small:support/{DIGEST}", "challenger", "support/challenger"]
)
async def test_what_is_no_alias_of_the_project_stays_as_it_is(store: MemoryStore, model: str) -> None:
    assert (await own_model(store, "support", TeacherSpec(model=model))).model == model


@pytest.mark.parametrize("model", ["sales/champion", "small:sales/champion", f"small:sales/{DIGEST}", "sales/later"])
async def test_another_projects_adapters_cannot_be_named(store: MemoryStore, model: str) -> None:
    with pytest.raises(InvalidArgument, match="another project"):
        await own_model(store, "support", TeacherSpec(model=model))


async def test_a_teacher_at_a_url_is_somebody_elses_and_stays_as_it_is(store: MemoryStore) -> None:
    teacher = TeacherSpec(url="http://127.0.0.1:1/v1", model="sales/champion")
    assert await own_model(store, "support", teacher) == teacher


def test_a_candidate_is_of_the_adapter_that_answered_under_the_alias() -> None:
    answer = Answer("a", "stop", TokenUsage(), model=f"small:support/{DIGEST}")
    champion = TeacherSpec(model="small:support/champion")
    assert answering(champion, answer) == f"small:support/{DIGEST}"
    assert answering(champion, Answer("a", "stop", TokenUsage())) == "small:support/champion"
    elsewhere = TeacherSpec(url="http://127.0.0.1:1/v1", model="large")
    assert answering(elsewhere, answer) == "large"
