"""The release of the last tag, upgraded to this commit while it is in use."""

from pathlib import Path

import pytest
from cultivar.campaigns.v1 import campaigns_pb2
from cultivar.run.v1 import run_pb2

from tests.cluster.cluster import CAMPAIGN, holds, image_of, install, retrying_calls, uninstall, upgrade

NO_TAG = "no tag before this commit: there is no release to upgrade from"

pytestmark = pytest.mark.timeout(900)


def test_the_release_of_the_last_tag_becomes_this_one_and_fails_no_call_of_a_retrying_client(
    images: Path, tmp_path: Path, figures: dict[str, str]
) -> None:
    charts = images / "before" / "deploy" / "helm"
    if not charts.is_dir():
        pytest.skip(NO_TAG)
    uninstall()
    try:
        release = install(tmp_path, charts, image_of("cultivar-before"))
        release.figures = figures
        release.cultivar("campaign", "run", str(CAMPAIGN), "--id", "before", "--output", str(tmp_path / "before.html"))
        with retrying_calls(release, "the last tag was upgraded to this commit") as failed:
            upgrade()
        assert failed == []
        release.cultivar("campaign", "run", str(CAMPAIGN), "--id", "after", "--output", str(tmp_path / "after.html"))
        with release.client() as client:
            made = client.campaigns.ListCampaigns(campaigns_pb2.ListCampaignsRequest(parent=client.parent)).campaigns
        assert {each.name.rpartition("/")[2] for each in made} == {"before", "after"}
        assert all(each.run.state == run_pb2.RUN_STATE_SUCCEEDED for each in made)
        holds(release)
    finally:
        uninstall()
