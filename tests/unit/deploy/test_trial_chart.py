"""The chart `trial`, rendered by the real helm: it gives all that the chart `cultivar` requires."""

import base64

import pytest
import yaml
from cultivar_standalone.mounts import SCHEMAS

from tests.unit.deploy.rendering import (
    HELM_FOLDER,
    Object,
    breaks_of_restricted,
    helm,
    of_kind,
    pod_specs,
    rendered,
)


@pytest.fixture(scope="module")
def objects() -> list[Object]:
    """What the chart makes of its own values."""
    return rendered("trial")


def test_helm_finds_nothing_to_complain_about() -> None:
    linted = helm("lint", "--strict", str(HELM_FOLDER / "trial"))
    assert linted.returncode == 0, linted.stdout


def test_every_pod_is_allowed_in_a_restricted_namespace(objects: list[Object]) -> None:
    specs = dict(pod_specs(objects))
    assert len(specs) == 3
    assert {name: breaks_of_restricted(spec) for name, spec in specs.items()} == {name: [] for name in specs}


def test_each_service_has_a_database_address_with_a_role_and_a_password_of_its_own(objects: list[Object]) -> None:
    data = of_kind(objects, "Secret")["release-database"]["data"]
    assert set(data) == {*SCHEMAS, "migrate"}
    addresses = {name: base64.b64decode(value).decode() for name, value in data.items()}
    for name in SCHEMAS:
        assert addresses[name].startswith(f"postgresql://cultivar_{name}:")
    assert len({address.split(":")[2].split("@")[0] for address in addresses.values()}) == len(addresses)


def test_its_values_for_cultivar_name_secrets_that_it_makes_with_the_keys_that_cultivar_reads() -> None:
    trial = of_kind(rendered("trial"), "Secret")
    cultivar = rendered("cultivar", "--values", str(HELM_FOLDER / "trial" / "cultivar.yaml"))
    for _, spec in pod_specs(cultivar):
        for each in spec["containers"][0]["env"]:
            if "valueFrom" in each:
                wanted = each["valueFrom"]["secretKeyRef"]
                assert wanted["key"] in trial[wanted["name"].replace("trial-", "release-")]["data"]


def test_its_values_for_cultivar_point_at_services_that_it_makes() -> None:
    services = of_kind(rendered("trial"), "Service")
    values = yaml.safe_load((HELM_FOLDER / "trial" / "cultivar.yaml").read_text())
    store, port = values["artifacts"]["endpoint"].split(":")
    assert services[store.replace("trial-", "release-")]["spec"]["ports"][0]["port"] == int(port)
    teachers = values["teachers"]["url"].split("/")[2].split(":")
    assert services[teachers[0].replace("trial-", "release-")]["spec"]["ports"][0]["port"] == int(teachers[1])
