"""A real Kubernetes cluster by kubectl and helm, and a release of Cultivar on it."""

import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc
from cultivar.campaigns.v1 import campaigns_pb2
from cultivar.cli.audit import ask_all, disagreements
from cultivar.client import Client
from cultivar.connection import Connection
from cultivar_standalone.mounts import BUILDS

from tests.programs import program

ROOT = Path(__file__).parents[2]
HELM = ROOT / "deploy" / "helm"
CAMPAIGN = HELM / "cultivar" / "campaign" / "campaign.yaml"
MINIO = ("--set", "minio.repository=localhost/minio,minio.tag=test,minio.pullPolicy=Never")
RELEASE = "cultivar"
CALL_PAUSE_SECONDS = 0.05
NAMESPACE = "cultivar-test"
DOMAIN = f"{NAMESPACE}.svc.cluster.local"
ADDRESS = f"dns:///{RELEASE}-{{service}}.{DOMAIN}:7345"
Object = dict[str, Any]


def image_of(name: str) -> tuple[str, str]:
    """Returns the flags that give the charts one of the images that `tests/cluster/images` builds."""
    return "--set", f"image.repository=localhost/{name},image.tag=test,image.pullPolicy=Never"


IMAGE = image_of("cultivar")


def succeeded(*command: str, seconds: float = 300) -> str:
    """Runs a command and returns what it printed; fails with what it said."""
    ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert ended.returncode == 0, f"{' '.join(command[:4])}: {ended.stdout[-2000:]}\n{ended.stderr[-2000:]}"
    return ended.stdout


def kubectl(*arguments: str, seconds: float = 300) -> str:
    """Runs kubectl in the tests' namespace."""
    return succeeded("kubectl", "--namespace", NAMESPACE, *arguments, seconds=seconds)


def objects(kind: str, *arguments: str) -> list[Object]:
    """Returns objects of a kind."""
    found: list[Object] = json.loads(kubectl("get", kind, "--output", "json", *arguments))["items"]
    return found


def helm(*arguments: str, seconds: float = 400) -> str:
    """Runs helm in the tests' namespace."""
    return succeeded(program("helm"), "--namespace", NAMESPACE, *arguments, seconds=seconds)


def upgrade(*arguments: str) -> str:
    """Upgrades the release to the chart as it is, with some values, and waits until it is ready."""
    values = ("--values", str(HELM / "trial" / "cultivar.yaml"), *IMAGE, *arguments)
    return helm("upgrade", RELEASE, str(HELM / "cultivar"), *values, "--wait", "--timeout", "4m")


def secret(name: str) -> dict[str, str]:
    """Returns what a Secret holds."""
    data = json.loads(kubectl("get", "secret", name, "--output", "json"))["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def ready_pods() -> dict[str, Object]:
    """Returns the pods that are ready and not going, by name."""
    return {
        pod["metadata"]["name"]: pod
        for pod in objects("pods")
        if "deletionTimestamp" not in pod["metadata"] and moment(pod, "Ready") is not None
    }


def moment(pod: Object, condition: str) -> datetime | None:
    """Returns since when a condition of a pod is true; None where it is not."""
    for each in pod["status"].get("conditions", []):
        if each["type"] == condition and each["status"] == "True":
            return datetime.fromisoformat(each["lastTransitionTime"])
    return None


def component(pod: Object) -> str:
    """Returns the service that a pod is of."""
    return str(pod["metadata"]["labels"]["app.kubernetes.io/component"])


def eventually(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Waits until something holds; fails with what it is after some time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"after {seconds:.0f} s it did not hold that {what}"
        time.sleep(0.5)


@dataclass
class Release:
    """A release of both charts, as a client on the node sees it."""

    seconds: float
    ca: Path
    token: str
    figures: dict[str, str] = field(default_factory=dict)

    @property
    def connection(self) -> Connection:
        """Where its services are."""
        return Connection(ADDRESS, self.token, tls_ca=str(self.ca))

    def client(self) -> Client:
        """A client of its services."""
        return Client(self.connection)

    def environment(self) -> dict[str, str]:
        """The variables by which the command line finds it."""
        return {
            **os.environ,
            "CULTIVAR_ADDRESS": ADDRESS,
            "CULTIVAR_TOKEN": self.token,
            "CULTIVAR_TLS_CA": str(self.ca),
        }

    def grpcurl(self, service: str, method: str, *messages: Object) -> list[Object]:
        """Makes a call as somebody without our client does; returns what is answered."""
        said = succeeded(
            program("grpcurl"),
            *("-cacert", str(self.ca), "-H", f"authorization: Bearer {self.token}"),
            *("-d", "\n".join(json.dumps(message) for message in messages)),
            f"{RELEASE}-{service}.{DOMAIN}:7345",
            f"cultivar.{service}.v1.{service.title()}Service/{method}",
        ).strip()
        answers = []
        while said:
            answer, end = json.JSONDecoder().raw_decode(said)
            answers.append(answer)
            said = said[end:].lstrip()
        return answers

    def cultivar(self, *arguments: str, seconds: float = 300) -> str:
        """Runs the command line against it."""
        program_of = [str(Path(sys.executable).parent / "cultivar"), *arguments]
        ended = subprocess.run(
            program_of, capture_output=True, text=True, timeout=seconds, check=False, env=self.environment()
        )
        assert ended.returncode == 0, f"cultivar {' '.join(arguments)}: {ended.stdout[-2000:]}\n{ended.stderr[-2000:]}"
        return ended.stdout


def install(folder: Path, charts: Path = HELM, image: Sequence[str] = IMAGE) -> Release:
    """Installs both charts in a namespace that enforces `restricted`, and waits until everything is ready."""
    if not succeeded("kubectl", "get", "namespace", NAMESPACE, "--ignore-not-found"):
        succeeded("kubectl", "create", "namespace", NAMESPACE)
    for mode in ("enforce", "warn"):
        succeeded(
            "kubectl", "label", "namespace", NAMESPACE, f"pod-security.kubernetes.io/{mode}=restricted", "--overwrite"
        )
    began = time.monotonic()
    try:
        helm("install", "trial", str(charts / "trial"), *image, *MINIO, "--wait", "--timeout", "5m")
        values = ("--values", str(charts / "trial" / "cultivar.yaml"), *image)
        helm("install", RELEASE, str(charts / "cultivar"), *values, "--wait", "--timeout", "5m")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{state()}") from error
    took = time.monotonic() - began
    ca = folder / "ca.crt"
    ca.write_text(secret("trial-tls")["ca.crt"])
    return Release(took, ca, secret("trial-token")["token"])


def state() -> str:
    """Returns what somebody would look at who wonders why a release does not become ready."""
    looks = (("get", "pods", "--output", "wide"), ("get", "events", "--sort-by", ".lastTimestamp"))
    said = [kubectl(*look)[-4000:] for look in looks]
    waiting = [pod for pod in objects("pods") if moment(pod, "Ready") is None]
    return "\n".join([*said, logs(waiting)])


def logs(pods: Sequence[Object] | None = None) -> str:
    """Returns the last lines that pods printed, all of them where none are named."""
    said = []
    for pod in objects("pods") if pods is None else pods:
        name = pod["metadata"]["name"]
        printed = subprocess.run(
            ["kubectl", "--namespace", NAMESPACE, "logs", name, "--tail", "15"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        said.append(f"{name}: {printed.stdout}{printed.stderr}")
    return "\n".join(said)


def uninstall() -> None:
    """Takes both charts away."""
    for release in (RELEASE, "trial"):
        helm("uninstall", release, "--wait", "--ignore-not-found")


def holds(release: Release) -> None:
    """Asserts that every service finds its books in order."""
    with release.client() as client:
        reports, _ = ask_all(client)
    assert len(reports) == len(BUILDS) - 1
    broken = [(report.service, finding) for report in reports for finding in report.findings if not finding.holds]
    assert broken == []
    assert disagreements(reports) == []


@contextmanager
def retrying_calls(release: Release, during: str) -> Iterator[list[str]]:
    """Lists campaigns again and again, as a client with its retries does; gives what went wrong."""
    failed: list[str] = []
    stopped = threading.Event()
    made = [0]

    def call() -> None:
        with release.client() as client:
            while not stopped.wait(CALL_PAUSE_SECONDS):
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
        release.figures[f"calls while {during}"] = f"{made[0]}, failed {len(failed)}"
