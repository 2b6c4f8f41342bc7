"""A release on a real Kubernetes: installed, used from outside, hurt, upgraded, and taken away, in this order."""

import base64
import dataclasses
import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import grpc
import pytest
import trustme
import yaml
from cultivar.campaigns.v1 import campaigns_pb2
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
    holds,
    kubectl,
    logs,
    moment,
    objects,
    ready_pods,
    retrying_calls,
    uninstall,
    upgrade,
)
from tests.issuer import AUDIENCE, RealIssuer, real_issuer
from tests.programs import program

LONG = bool(os.environ.get("LONG"))
# So that one test which hangs says where before the lane's time is over.
pytestmark = pytest.mark.timeout(900 if LONG else 300)
MOST_BYTES = {"idle": 1536 << 20, "image": 450_000_000}
MOST_SECONDS = 200


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


def test_a_campaign_is_made_and_followed_from_outside_by_grpcurl_alone(release: Release) -> None:
    config = yaml.safe_load(CAMPAIGN.read_text())
    config["data"] = {source: uploaded(release, CAMPAIGN.parent / file) for source, file in config["data"].items()}
    asked = {"parent": "projects/default", "campaignId": "by-grpcurl", "config": config}
    [made] = release.grpcurl("campaigns", "CreateCampaign", asked)
    changes = release.grpcurl("campaigns", "WatchCampaign", {"name": made["name"]})
    assert len(changes) > 1
    assert changes[-1]["run"]["state"] == "RUN_STATE_SUCCEEDED"
    assert changes[-1]["verdict"]


def uploaded(release: Release, path: Path) -> str:
    """Sends a file by grpcurl, and returns its name."""
    data = path.read_bytes()
    chunk = base64.b64encode(data).decode()
    first = {"parent": "projects/default", "size": len(data), "fileName": path.name}
    [file] = release.grpcurl("datasets", "UploadFile", first, {"offset": 0, "chunk": chunk})
    return str(file["name"])


def test_a_caller_without_a_token_is_refused(release: Release) -> None:
    ended = subprocess.run(
        [program("grpcurl"), "-cacert", str(release.ca), "-d", '{"parent": "projects/default"}',
         f"{RELEASE}-campaigns.{DOMAIN}:7345", "cultivar.campaigns.v1.CampaignsService/ListCampaigns"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "Unauthenticated" in ended.stderr


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
    """Deletes a pod of a service, and returns the one in its place once it is ready."""
    before = {name for name, pod in ready_pods().items() if component(pod) == service}
    kubectl("delete", "pod", min(before), "--wait=false")

    def successors() -> list[Object]:
        return [pod for name, pod in ready_pods().items() if component(pod) == service and name not in before]

    eventually(lambda: bool(successors()), 90, f"another pod of {service} is ready")
    return successors()[0]


def is_running(release: Release, campaign: str) -> bool:
    """Tells whether a campaign has not ended."""
    with release.client() as client:
        found = client.campaigns.GetCampaign(campaigns_pb2.GetCampaignRequest(name=campaign))
    return found.run.state not in FINAL_STATES


def hurt(release: Release, folder: Path, name: str, services: list[str]) -> list[campaigns_pb2.Campaign]:
    """Deletes a pod of each service in turn while campaigns run, one after the other; returns how these ended."""
    campaigns: list[str] = []
    for service in services:
        if not campaigns or not is_running(release, campaigns[-1]):
            campaigns.append(start_campaign(release, folder, f"{name}-{len(campaigns)}", 120))
        replace(service)
    ended = [followed(release, name) for name in campaigns]
    holds(release)
    return ended


def followed(release: Release, name: str) -> campaigns_pb2.Campaign:
    """Watches a campaign until it ends; fails with how far it came and what the services said where it does not."""
    with release.client() as client:
        try:
            asked = campaigns_pb2.WatchCampaignRequest(name=name)
            return wait(client.campaigns.WatchCampaign(asked, timeout=MOST_SECONDS))
        except grpc.RpcError as error:
            found = client.campaigns.GetCampaign(campaigns_pb2.GetCampaignRequest(name=name))
            raise AssertionError(f"{error}\n{found}\n{logs()}") from error


def test_campaigns_end_whole_though_each_pod_is_deleted_in_turn_while_one_runs(
    release: Release, tmp_path: Path
) -> None:
    campaigns = hurt(release, tmp_path, "hurt", list(BUILDS) * (3 if LONG else 1))
    assert campaigns and all(campaign.verdict for campaign in campaigns)
    release.figures["campaigns that ended whole while each pod was deleted in turn"] = str(len(campaigns))


def test_a_service_starts_in_under_three_seconds(release: Release) -> None:
    pod = replace("review")
    [container] = pod["status"]["containerStatuses"]
    ready = moment(pod, "Ready")
    assert ready is not None
    took = (ready - datetime.fromisoformat(container["state"]["running"]["startedAt"])).total_seconds()
    release.figures["start of a service, to the second"] = f"{took:.0f} s"
    assert took <= 3


def test_no_call_fails_though_a_pod_of_two_of_each_service_is_deleted_in_turn_while_a_campaign_runs(
    release: Release, tmp_path: Path
) -> None:
    upgrade("--set", "defaults.replicas=2")
    assert Counter(component(pod) for pod in ready_pods().values()).items() >= dict.fromkeys(BUILDS, 2).items()
    with retrying_calls(release, "one pod of two of each service was deleted") as failed:
        campaigns = hurt(release, tmp_path, "pairs", list(BUILDS) * (4 if LONG else 1))
    release.figures["campaigns that ended whole while pods of two were deleted"] = str(len(campaigns))
    assert failed == [] and all(campaign.verdict for campaign in campaigns)
    upgrade()


def test_an_upgrade_with_another_value_fails_no_call_of_a_retrying_client(release: Release) -> None:
    before = set(ready_pods())
    with retrying_calls(release, "an upgrade replaced every pod") as failed:
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


@contextmanager
def issuer_on_the_node(folder: Path) -> Iterator[RealIssuer]:
    """Serves an issuer over TLS on the node, and keeps its CA and the secret of its clients in the Secret `issuer`."""
    authority, ca = trustme.CA(), folder / "ca.crt"
    authority.cert_pem.write_to_path(str(ca))
    with real_issuer(os.environ["NODE_IP"], authority) as issuer:
        held = (f"--from-literal=campaigns={issuer.secret}", f"--from-file={ca}")
        kubectl("create", "secret", "generic", "issuer", *held)
        try:
            yield issuer
        finally:
            kubectl("delete", "secret", "issuer")


def test_with_an_issuer_a_person_starts_a_campaign_and_the_one_token_opens_nothing(
    release: Release, tmp_path: Path
) -> None:
    with issuer_on_the_node(tmp_path) as issuer:
        for client in ("cultivar-campaigns", "people"):
            issuer.add_client(client)
        issuer.add_person("ada", "cultivar:default:engineer")
        asked = f"oidc.issuer={issuer.url},oidc.audience={AUDIENCE},oidc.secret=issuer,oidc.caSecret=issuer"
        upgrade("--set", f"identity.secret=,{asked}")
        person = dataclasses.replace(release, token=issuer.token_of("ada", "people"))
        person.cultivar("campaign", "run", str(CAMPAIGN), "--id", "adas", "--output", str(tmp_path / "report.html"))
        holds(person)
        with pytest.raises(AssertionError, match="the token is not a JWT"):
            release.cultivar("campaign", "list")
        assert "Succeeded" in helm("test", RELEASE, "--timeout", "5m")
        for service in ("campaigns", "review"):
            said = kubectl("exec", f"deployment/{RELEASE}-{service}", "--", "cultivar", "doctor")
            assert "nothing is wrong" in said


def test_uninstalling_leaves_nothing(release: Release) -> None:
    uninstall()
    kinds = "pods,services,deployments,jobs,configmaps,secrets,serviceaccounts,poddisruptionbudgets"
    eventually(lambda: not objects("pods"), 60, "the pods went")
    left = [f"{each['kind']} {each['metadata']['name']}" for each in objects(kinds)]
    assert sorted(left) == ["ConfigMap kube-root-ca.crt", "ServiceAccount default"]
