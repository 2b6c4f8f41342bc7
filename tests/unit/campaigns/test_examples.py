"""The example campaigns are good files, within the limits of the demonstration."""

from pathlib import Path

import pytest
from cultivar.cli.campaign_file import local_files, read_campaign
from cultivar_campaigns.checking import check_config
from cultivar_campaigns.config import ARMS, CampaignConfig

EXAMPLES = Path("examples")
FILES = (EXAMPLES / "support" / "campaign.yaml", EXAMPLES / "banking77.yaml")
MOST_CANDIDATES = 300
MOST_TRAINED_TOKENS = 25_000


def example(path: Path) -> CampaignConfig:
    return check_config(read_campaign(path))


@pytest.mark.parametrize("path", FILES, ids=str)
def test_an_example_runs_all_arms_within_the_limits_of_the_demonstration(path: Path) -> None:
    config = example(path)
    assert config.arms == ARMS
    assert sum(use.count for use in config.generate) <= MOST_CANDIDATES
    assert config.train is not None
    assert 0 < config.train.max_trained_tokens * len(config.train.seeds) <= MOST_TRAINED_TOKENS
    assert len(config.train.seeds) >= 2


def test_the_support_example_brings_its_files_and_the_text_of_its_guidelines() -> None:
    config = read_campaign(FILES[0])
    assert {source for source, _ in local_files(config, FILES[0].parent)} == {
        "seeds",
        "validation",
        "held_out",
        "stand_in",
    }
    assert "The rule behind all others" in example(FILES[0]).review.guidelines


def test_the_public_example_takes_ten_seeds_and_twenty_held_out_rows_of_each_of_ten_intents() -> None:
    config = example(FILES[1])
    assert len(config.task.labels) == 10
    assert config.data.seeds.per_label == 10
    assert config.data.held_out is not None
    assert config.data.held_out.per_label == 20
    draws = {(file.file, file.random_seed) for file in config.files.values() if file is not None}
    assert len(draws) == 4


def test_the_example_of_instructions_takes_a_hundred_seeds_and_selects_a_thousand() -> None:
    config = example(EXAMPLES / "instructions.yaml")
    assert not config.trains
    assert config.data.seeds.per_label == 100
    assert config.select.budget == 1000
    assert config.answer is not None
