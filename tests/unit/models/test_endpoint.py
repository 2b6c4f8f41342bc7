"""What an endpoint and a sampling may say."""

import pytest
from cultivar_models import Endpoint, Sampling, TokenUsage


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8000/v1", "ftp://host/v1", "http://", "http://me:secret@host/v1", "http://host/v1?api_key=secret"],
)
def test_a_url_that_cannot_be_right_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="the endpoint's url must") as caught:
        Endpoint(url, "model")
    assert "secret" not in str(caught.value)


def test_a_trailing_slash_changes_nothing() -> None:
    assert Endpoint("http://host/v1/", "model") == Endpoint("http://host/v1", "model")


def test_a_query_that_is_no_secret_stands_behind_each_path() -> None:
    endpoint = Endpoint("https://host/openai/deployments/gpt/?api-version=2024-06-01", "model")
    assert endpoint.at("/models") == "https://host/openai/deployments/gpt/models?api-version=2024-06-01"


@pytest.mark.parametrize(
    "fields", [{"temperature": -0.1}, {"temperature": 2.1}, {"top_p": 0}, {"max_tokens": 0}, {"n": 0}]
)
def test_sampling_outside_its_ranges_is_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        Sampling(**fields)  # type: ignore[arg-type]


def test_a_sampling_sends_only_what_says_something() -> None:
    assert Sampling(0.5, 0.9, 10).fields() == {"temperature": 0.5, "top_p": 0.9, "max_tokens": 10}
    assert Sampling(stop=("\n",), seed=0, n=2).fields().items() >= {"stop": ["\n"], "seed": 0, "n": 2}.items()


def test_usages_add_up() -> None:
    assert TokenUsage(1, 2, 3, 4, 5) + TokenUsage(10, 20, 30, 40, 50) == TokenUsage(11, 22, 33, 44, 55)
