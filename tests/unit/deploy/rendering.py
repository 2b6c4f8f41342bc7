"""Charts as the real helm renders them, and what Pod Security `restricted` asks of a pod."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.programs import program

HELM_FOLDER = Path(__file__).parents[3] / "deploy" / "helm"
GIVEN = {
    "database.secret": "database",
    "artifacts.url": "s3://artifacts",
    "artifacts.secret": "store",
    "tls.secret": "certificate",
    "identity.secret": "token",
    "teachers.url": "http://teachers:8000/v1",
}
Object = dict[str, Any]
RESTRICTED_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"
}  # fmt: skip


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs helm; the test is skipped where there is none."""
    return subprocess.run([program("helm"), *arguments], capture_output=True, text=True, check=False)


def flags(values: dict[str, str]) -> list[str]:
    """Returns the flags that set some values."""
    return [part for name, value in values.items() for part in ("--set", f"{name}={value}")]


def rendered(chart: str, *arguments: str, values: dict[str, str] | None = None) -> list[Object]:
    """Returns the objects of a chart."""
    command = helm(
        "template", "release", str(HELM_FOLDER / chart), "--namespace", "unit", *arguments, *flags(values or {})
    )
    assert command.returncode == 0, command.stderr
    return [each for each in yaml.safe_load_all(command.stdout) if each]


def of_kind(objects: list[Object], kind: str) -> dict[str, Object]:
    """Returns the objects of a kind by name."""
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def pod_specs(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Returns the specification of each pod, with the name of what makes it."""
    for each in objects:
        name = f"{each['kind']} {each['metadata']['name']}"
        if each["kind"] == "Pod":
            yield name, each["spec"]
        elif "template" in each.get("spec", {}):
            yield name, each["spec"]["template"]["spec"]


def breaks_of_restricted(spec: Object) -> list[str]:
    """Returns what the Pod Security standard `restricted` refuses in a pod (Kubernetes 1.30)."""
    pod = spec.get("securityContext", {})
    broken = [field for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    broken += [f"volume {v['name']}" for v in spec.get("volumes", []) if not RESTRICTED_VOLUMES & set(v)]
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        own = container.get("securityContext", {})
        seccomp = own.get("seccompProfile", pod.get("seccompProfile", {}))
        holds = {
            "privileged": not own.get("privileged"),
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "capabilities": "ALL" in own.get("capabilities", {}).get("drop", []),
            "runAsNonRoot": own.get("runAsNonRoot", pod.get("runAsNonRoot")) is True,
            "runAsUser": own.get("runAsUser", pod.get("runAsUser")) != 0,
            "seccompProfile": seccomp.get("type") in ("RuntimeDefault", "Localhost"),
            "hostPort": not any(port.get("hostPort") for port in container.get("ports", [])),
        }
        broken += [f"{container['name']}.{field}" for field, held in holds.items() if not held]
    return broken
