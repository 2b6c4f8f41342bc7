"""The Tiltfile, run with what Tilt would give it (its language is a part of Python)."""

import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from cultivar_standalone.mounts import BUILDS

ROOT = Path(__file__).parents[3]


class Refused(Exception):
    """What `fail` raises."""


class Tilt:
    """Tilt's functions, which note what they are called with."""

    def __init__(self, context: str) -> None:
        self.context = context
        self.resources: dict[str, dict[str, Any]] = {}
        self.synced: dict[str, str] = {}
        self.rendered: list[str] = []

    def local(self, command: str, quiet: bool) -> str:
        """Lists files; what asks a cluster is only noted."""
        if command.startswith("helm"):
            return command
        return subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    def fail(self, message: str) -> None:
        """Refuses."""
        raise Refused(message)

    def run_file(self) -> "Tilt":
        """Runs the Tiltfile."""
        given: dict[str, Any] = {
            "k8s_context": lambda: self.context,
            "k8s_namespace": lambda: "default",
            "fail": self.fail,
            "read_yaml": lambda path: yaml.safe_load((ROOT / path).read_text()),
            "local": self.local,
            "docker_build": lambda *args, **named: None,
            "fall_back_on": lambda paths: [path for path in paths if not (ROOT / path).exists()] and self.fail("gone"),
            "sync": self.synced.__setitem__,
            "run": lambda command: None,
            "helm": lambda chart, **named: chart,
            "k8s_yaml": self.rendered.append,
            "TRIGGER_MODE_MANUAL": "manual",
            "k8s_resource": lambda name, **named: self.resources.update({name: named}),
        }
        exec(compile((ROOT / "Tiltfile").read_text(), "Tiltfile", "exec"), given)
        return self


def test_each_service_of_the_chart_is_a_resource() -> None:
    resources = Tilt("kind-kind").run_file().resources
    assert {f"cultivar-{name}" for name in BUILDS} <= set(resources)
    assert {dependency for each in resources.values() for dependency in each.get("resource_deps", [])} <= set(resources)


def test_every_package_of_the_wheel_is_put_into_the_pods_when_it_changes() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    synced = Tilt("kind-kind").run_file().synced
    assert set(synced) == set(packages["packages"])
    assert all(target.endswith(f"site-packages/{Path(source).name}") for source, target in synced.items())


def test_both_charts_are_rendered() -> None:
    trial, cultivar = Tilt("kind-kind").run_file().rendered
    assert "deploy/helm/trial" in trial
    assert cultivar == "deploy/helm/cultivar"


def test_the_campaign_of_helm_test_waits_until_it_is_asked_for() -> None:
    campaign = Tilt("kind-kind").run_file().resources["cultivar-test"]
    assert (campaign["auto_init"], campaign["trigger_mode"]) == (False, "manual")
    assert set(campaign["resource_deps"]) == {f"cultivar-{name}" for name in BUILDS}


@pytest.mark.parametrize("context", ["production", "gke_company_europe_one", "arn:aws:eks:eu-1:1:cluster/kind", ""])
def test_a_context_that_is_not_local_is_refused_before_anything_is_done(context: str) -> None:
    tilt = Tilt(context)
    with pytest.raises(Refused, match="is not a local one"):
        tilt.run_file()
    assert tilt.rendered == []
