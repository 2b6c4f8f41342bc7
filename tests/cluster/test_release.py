"""A release on a real Kubernetes: installed, used from outside, hurt, upgraded, and taken away, in this order."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import grpc
import pytest
import yaml
from cultivar.campaigns.v1 import campaigns_pb2
from cultivar.cli.audit import ask_all, disagreements
from cultivar.client import FINAL_STATES, wait
from cultivar_standalone.mounts import BUILDS

from tests.cluster.cluster import (
    CAMPAIGN,
    DOMAIN,
    RELEASE,
    Object,
    Release,
    component,
    eventually,
    helm,
    kubectl,
    moment,
    objects,
    ready_pods,
    succeeded,
    uninstall,
    upgrade,
)
from tests.programs import program

pytestmark = pytest.mark.timeout(900)
MOST_BYTES = {"idle": 1536 << 20, "image": 450_000_000}
LONG = bool(os.environ.get("LONG"))


def holds(release: Release) -> None:
    """Asserts that every service finds its books in order."""
    with release.client() as client:
        reports, _ = ask_all(client)
    assert len(reports) == len(BUILDS) - 1
    broken = [(report.service, finding) for report in reports for finding in report.findings if not finding.holds]
    assert broken == []
    assert disagreements(reports) == []


def test_the_service_image_is_small_enough(images: Path, figures: dict[str, str]) -> None:
    size = (images / "cultivar.tar").stat().st_size
    figures["service image, compressed"] = f"{size / 1e6:.0f} MB"
    assert size <= MOST_BYTES["image"]


def test_everything_is_ready_within_three_minutes_of_the_install(release: Release) -> None:
    release.figures["install to ready"] = f"{release.seconds:.0f} s"
    assert {component(pod) for pod in ready_pods().values()} == {*BUILDS, "postgres", "minio", "teachers"}
    assert release.seconds < 180


def test_idle_pods_take_less_memory_than_a_small_machine_has(release: Release) -> None:
    def measured() -> dict[str, int]:
        summary = json.loads(kubectl("get", "--raw", "/api/v1/nodes/node/proxy/stats/summary"))
        return {
            pod["podRef"]["name"]: pod["memory"].get("workingSetBytes", 0)
            for pod in summary["pods"]
            if pod["podRef"]["namespace"] == DOMAIN.split(".")[0]
        }

    eventually(
        lambda: set(ready_pods()) <= {name for name, taken in measured().items() if taken}, 60, "all are measured"
    )
    taken = {name: size for name, size in measured().items() if name in ready_pods()}
    total = sum(taken.values())
    most = max(taken, key=lambda name: taken[name])
    release.figures["idle memory of all pods"] = f"{total >> 20} MiB (most: {most}, {taken[most] >> 20} MiB)"
    assert total < MOST_BYTES["idle"]


def test_helm_test_runs_a_campaign_of_five_examples(release: Release) -> None:
    began = time.monotonic()
    said = helm("test", RELEASE, "--timeout", "5m")
    release.figures["helm test"] = f"{time.monotonic() - began:.0f} s"
    assert "Succeeded" in said


def test_a_campaign_runs_from_outside_by_the_command_line(release: Release, tmp_path: Path) -> None:
    release.cultivar("campaign", "run", str(CAMPAIGN), "--id", "outside", "--output", str(tmp_path / "report.html"))
    assert "<html" in (tmp_path / "report.html").read_text()
    holds(release)


def test_a_campaign_is_read_from_outside_by_grpcurl(release: Release) -> None:
    said = succeeded(
        program("grpcurl"),
        *("-cacert", str(release.ca), "-H", f"authorization: Bearer {release.token}"),
        *("-d", json.dumps({"name": "projects/default/campaigns/outside"}), f"{RELEASE}-campaigns.{DOMAIN}:7345"),
        "cultivar.campaigns.v1.CampaignsService/GetCampaign",
    )
    assert json.loads(said)["run"]["state"] == "RUN_STATE_SUCCEEDED"


def test_a_caller_without_a_token_is_refused(release: Release) -> None:
    ended = subprocess.run(
        [program("grpcurl"), "-cacert", str(release.ca), "-d", '{"parent": "projects/default"}',
         f"{RELEASE}-campaigns.{DOMAIN}:7345", "cultivar.campaigns.v1.CampaignsService/ListCampaigns"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "Unauthenticated" in ended.stderr


@contextmanager
def retrying_calls(release: Release) -> Iterator[list[str]]:
    """Lists campaigns again and again, as a client with its retries does; gives what went wrong."""
    failed: list[str] = []
    stopped = threading.Event()
    made = [0]

    def call() -> None:
        with release.client() as client:
            while not stopped.wait(0.05):
                try:
                    client.campaigns.ListCampaigns(campaigns_pb2.ListCampaignsRequest(parent=client.parent))
                    made[0] += 1
                except grpc.RpcError as error:
                    failed.append(str(error))

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield failed
    finally:
        stopped.set()
        thread.join()
        release.figures["calls while pods were replaced"] = f"{made[0]}, failed {len(failed)}"


def start_campaign(release: Release, folder: Path, name: str, count: int) -> str:
    """Starts a campaign with more to do than the one of `helm test`, and returns its resource name."""
    config = yaml.safe_load(CAMPAIGN.read_text())
    config["generate"] = [{"strategy": "expand", "count": count}]
    config["train"]["seeds"] = [1, 2, 3]
    file = folder / "campaign.yaml"
    file.write_text(yaml.safe_dump(config))
    release.cultivar("campaign", "run", str(file), "--data", str(CAMPAIGN.parent), "--id", name, "--no-watch")
    return f"projects/default/campaigns/{name}"


def replace(service: str) -> Object:
    """Deletes the pod of a service, and returns the one in its place once it is ready."""
    old = {name for name, pod in ready_pods().items() if component(pod) == service}
    kubectl("delete", "pod", *old, "--wait=false")

    def successors() -> list[Object]:
        return [pod for name, pod in ready_pods().items() if component(pod) == service and name not in old]

    eventually(lambda: bool(successors()), 90, f"another pod of {service} is ready")
    return successors()[0]


def is_running(release: Release, campaign: str) -> bool:
    """Tells whether a campaign has not ended."""
    with release.client() as client:
        found = client.campaigns.GetCampaign(campaigns_pb2.GetCampaignRequest(name=campaign))
    return found.run.state not in FINAL_STATES


def test_campaigns_end_whole_though_each_pod_is_deleted_in_turn_while_one_runs(
    release: Release, tmp_path: Path
) -> None:
    services = list(BUILDS) * (3 if LONG else 1)
    campaigns: list[str] = []
    for service in services:
        if not campaigns or not is_running(release, campaigns[-1]):
            campaigns.append(start_campaign(release, tmp_path, f"hurt-{len(campaigns)}", 120))
        replace(service)
    release.figures["pods deleted while a campaign ran"] = f"{len(services)}, over {len(campaigns)} campaigns"
    for campaign in campaigns:
        with release.client() as client:
            ended = wait(client.campaigns.WatchCampaign(campaigns_pb2.WatchCampaignRequest(name=campaign)))
        assert ended.verdict
    holds(release)


def test_a_service_starts_in_under_three_seconds(release: Release) -> None:
    pod = replace("review")
    [container] = pod["status"]["containerStatuses"]
    ready = moment(pod, "Ready")
    assert ready is not None
    took = (ready - datetime.fromisoformat(container["state"]["running"]["startedAt"])).total_seconds()
    release.figures["start of a service, to the second"] = f"{took:.0f} s"
    assert took <= 3


def test_an_upgrade_with_another_value_fails_no_call_of_a_retrying_client(release: Release) -> None:
    before = set(ready_pods())
    with retrying_calls(release) as failed:
        upgrade("--set-string", "settings.CULTIVAR_RUN_SLOTS=6")
    assert failed == []
    eventually(
        lambda: not {name for name in before if name.startswith(RELEASE)} & set(ready_pods()), 90, "old pods went"
    )
    holds(release)


def test_an_upgrade_that_names_a_secret_that_is_not_there_changes_nothing(release: Release) -> None:
    before = set(ready_pods())
    with pytest.raises(AssertionError) as refused:
        upgrade("--set", "database.secret=elsewhere,migration.activeDeadlineSeconds=15")
    assert "migration" in str(refused.value)
    assert set(ready_pods()) == before
    said = kubectl("get", "events", "--field-selector", "reason=Failed")
    assert 'secret "elsewhere" not found' in said
    upgrade()


def test_uninstalling_leaves_nothing(release: Release) -> None:
    uninstall()
    kinds = "pods,services,deployments,jobs,configmaps,secrets,serviceaccounts,poddisruptionbudgets"
    eventually(lambda: not objects("pods"), 60, "the pods went")
    left = [f"{each['kind']} {each['metadata']['name']}" for each in objects(kinds)]
    assert sorted(left) == ["ConfigMap kube-root-ca.crt", "ServiceAccount default"]
