"""The chart `cultivar`, rendered by the real helm: one loop makes every service, and what is missing is named."""

import json
from typing import Any

import pytest
import yaml
from cultivar_campaigns.config import CampaignConfig
from cultivar_standalone.mounts import BUILDS, SCHEMAS
from cultivar_training.settings import TrainingSettings

from tests.unit.deploy.rendering import (
    GIVEN,
    HELM_FOLDER,
    Object,
    breaks_of_restricted,
    flags,
    helm,
    of_kind,
    pod_specs,
    rendered,
)

CHART = HELM_FOLDER / "cultivar"
RELEASE = "release"
# How long CoreDNS lets others remember the address of a pod.
DNS_SECONDS = 5
# The names that clients read settings under, beside those of every service.
OTHER_SETTINGS = {"CULTIVAR_ADDRESS"}
WITH_ISSUER = {
    **{name: of for name, of in GIVEN.items() if name != "identity.secret"},
    "oidc.issuer": "https://id.example/realm",
    "oidc.audience": "cultivar",
    "oidc.secret": "clients",
    "oidc.caSecret": "authority",
}


@pytest.fixture(scope="module")
def objects() -> list[Object]:
    """What the chart makes of the required values alone."""
    return rendered("cultivar", values=GIVEN)


def container_of(deployment: Object) -> Any:
    """Returns the container of a deployment."""
    return deployment["spec"]["template"]["spec"]["containers"][0]


def test_helm_finds_nothing_to_complain_about() -> None:
    linted = helm("lint", "--strict", str(CHART), *flags(GIVEN))
    assert linted.returncode == 0, linted.stdout


def test_the_services_are_those_that_one_process_can_mount() -> None:
    assert set(yaml.safe_load((CHART / "values.yaml").read_text())["services"]) == set(BUILDS)
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert set(schema["properties"]["services"]["properties"]) == set(BUILDS)


@pytest.mark.parametrize("kind", ["Deployment", "Service", "ServiceAccount", "PodDisruptionBudget"])
def test_each_service_has_one_of_each_kind(objects: list[Object], kind: str) -> None:
    assert set(of_kind(objects, kind)) == {f"{RELEASE}-{name}" for name in BUILDS}


def test_every_pod_is_allowed_in_a_restricted_namespace(objects: list[Object]) -> None:
    specs = dict(pod_specs(objects))
    assert len(specs) == len(BUILDS) + 2
    assert {name: breaks_of_restricted(spec) for name, spec in specs.items()} == {name: [] for name in specs}


def test_no_pod_may_write_outside_its_temporary_folder_or_ask_the_cluster(objects: list[Object]) -> None:
    for name, spec in pod_specs(objects):
        assert spec["automountServiceAccountToken"] is False, name
        for container in spec["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, name
            writable = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
            assert writable == {"/tmp"}, name


def test_each_pod_says_what_it_needs_and_has_three_probes_over_grpc(objects: list[Object]) -> None:
    for deployment in of_kind(objects, "Deployment").values():
        container = container_of(deployment)
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert "grpc" in container[probe], probe


def test_a_rolling_update_never_takes_a_pod_away_before_another_is_ready(objects: list[Object]) -> None:
    for deployment in of_kind(objects, "Deployment").values():
        assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_a_pod_is_given_longer_to_end_than_its_service_takes_to_linger_and_to_drain(objects: list[Object]) -> None:
    for deployment in of_kind(objects, "Deployment").values():
        container = container_of(deployment)
        drains = {each["name"]: each.get("value") for each in container["env"]}["CULTIVAR_DRAIN_SECONDS"]
        lingers = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert lingers > DNS_SECONDS
        assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > lingers + int(drains)


def test_a_service_is_headless_so_that_its_clients_take_its_pods_in_turn(objects: list[Object]) -> None:
    deployments = of_kind(objects, "Deployment")
    for name, service in of_kind(objects, "Service").items():
        assert service["spec"]["clusterIP"] == "None"
        labels = deployments[name]["spec"]["template"]["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= labels.items()
        ports = {port["name"] for port in container_of(deployments[name])["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def test_every_setting_that_the_chart_gives_is_one_that_the_services_know(objects: list[Object]) -> None:
    known = {f"CULTIVAR_{field.upper()}" for field in TrainingSettings.model_fields} | OTHER_SETTINGS
    for name, spec in [*pod_specs(objects), *pod_specs(rendered("cultivar", values=WITH_ISSUER))]:
        assert {each["name"] for each in spec["containers"][0]["env"]} <= known, name


def test_a_service_sees_its_own_database_address_and_no_other(objects: list[Object]) -> None:
    for name, deployment in of_kind(objects, "Deployment").items():
        env = {each["name"]: each for each in container_of(deployment)["env"]}
        service = name.removeprefix(f"{RELEASE}-")
        assert ("CULTIVAR_DATABASE_URL" in env) == (service in SCHEMAS)
        if service in SCHEMAS:
            wanted = {"name": "database", "key": service}
            assert env["CULTIVAR_DATABASE_URL"]["valueFrom"]["secretKeyRef"] == wanted


def test_the_chart_makes_no_secret_and_gives_none_in_clear(objects: list[Object]) -> None:
    assert of_kind(objects, "Secret") == {}
    for name, spec in pod_specs(objects):
        for each in spec["containers"][0]["env"]:
            secret = any(word in each["name"] for word in ("SECRET", "TOKEN", "ACCESS_KEY", "DATABASE_URL"))
            assert not (secret and "value" in each) or each["name"] == "CULTIVAR_TOKEN_FILE", (name, each["name"])


def test_the_schemas_are_brought_up_to_date_before_any_pod_changes_and_within_a_time(objects: list[Object]) -> None:
    job = of_kind(objects, "Job")[f"{RELEASE}-migration"]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert job["spec"]["activeDeadlineSeconds"] == 300


def test_the_campaign_of_helm_test_is_one_of_five_examples_whose_files_are_beside_it(objects: list[Object]) -> None:
    files = of_kind(objects, "ConfigMap")[f"{RELEASE}-test"]["data"]
    config = CampaignConfig.model_validate(yaml.safe_load(files["campaign.yaml"]))
    named = {file.file for file in config.files.values() if file is not None}
    assert named == set(files) - {"campaign.yaml"}
    assert len(files["seeds.jsonl"].splitlines()) == 5


@pytest.mark.parametrize("value", GIVEN)
def test_a_required_value_that_is_missing_is_named_with_what_to_do(value: str) -> None:
    given = {name: of for name, of in GIVEN.items() if name != value}
    refused = helm("template", RELEASE, str(CHART), *flags(given))
    assert refused.returncode != 0
    [line] = [line for line in refused.stderr.splitlines() if line.startswith("  - ")]
    assert line.startswith((f"  - {value}: name an existing Secret", f"  - {value}: give the "))


def test_all_that_is_missing_is_named_at_once() -> None:
    refused = helm("template", RELEASE, str(CHART))
    assert [line.split(":")[0] for line in refused.stderr.splitlines() if line.startswith("  - ")] == [
        f"  - {name}" for name in GIVEN
    ]


@pytest.mark.parametrize(
    ("value", "asked"), [("oidc.audience", "give the "), ("oidc.secret", "name an existing Secret")]
)
def test_with_an_issuer_a_value_that_it_needs_is_asked_for_and_the_token_is_not(value: str, asked: str) -> None:
    given = {name: of for name, of in WITH_ISSUER.items() if name != value}
    refused = helm("template", RELEASE, str(CHART), *flags(given))
    [line] = [line for line in refused.stderr.splitlines() if line.startswith("  - ")]
    assert line.startswith(f"  - {value}: {asked}")


def test_with_an_issuer_each_service_has_a_client_of_its_own_where_it_needs_one_and_no_pod_sees_the_token() -> None:
    objects = rendered("cultivar", values=WITH_ISSUER)
    clients = {}
    for name, spec in pod_specs(objects):
        env = {each["name"]: each for each in spec["containers"][0]["env"]}
        assert "CULTIVAR_TOKEN_FILE" not in env and "identity" not in {volume["name"] for volume in spec["volumes"]}
        if "CULTIVAR_OIDC_CLIENT_ID" in env:
            secret = env["CULTIVAR_OIDC_CLIENT_SECRET"]["valueFrom"]["secretKeyRef"]
            assert secret["name"] == "clients"
            clients[name] = env["CULTIVAR_OIDC_CLIENT_ID"]["value"], secret["key"], secret.get("optional", False)
        if name.startswith("Deployment"):
            assert env["CULTIVAR_OIDC_ISSUER"]["value"] == "https://id.example/realm"
            assert env["CULTIVAR_OIDC_AUDIENCE"]["value"] == "cultivar"
            assert env["CULTIVAR_OIDC_SERVICES"]["value"] == "cultivar-campaigns"
    assert clients == {
        f"Deployment {RELEASE}-campaigns": ("cultivar-campaigns", "campaigns", False),
        f"Deployment {RELEASE}-console": ("cultivar-console", "console", True),
        f"Pod {RELEASE}-test": ("cultivar-campaigns", "campaigns", False),
    }


def test_the_pod_of_helm_test_has_the_settings_of_the_service_that_it_calls_as() -> None:
    scopes = {"settings.CULTIVAR_OIDC_CLIENT_SCOPES": "api", "services.review.settings.CULTIVAR_RUN_SLOTS": "2"}
    set_strings = [part for name, of in scopes.items() for part in ("--set-string", f"{name}={of}")]
    specs = dict(pod_specs(rendered("cultivar", *set_strings, values=WITH_ISSUER)))
    env = {each["name"]: each.get("value") for each in specs[f"Pod {RELEASE}-test"]["containers"][0]["env"]}
    assert env["CULTIVAR_OIDC_CLIENT_SCOPES"] == "api"
    assert "CULTIVAR_RUN_SLOTS" not in env


def test_the_ca_of_the_issuer_lies_where_the_services_look_for_it() -> None:
    for name, spec in pod_specs(rendered("cultivar", values=WITH_ISSUER)):
        env = {each["name"]: each.get("value") for each in spec["containers"][0]["env"]}
        if "CULTIVAR_OIDC_CA" in env:
            folders = {mount["name"]: mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
            [volume] = [each for each in spec["volumes"] if each["name"] == "issuer"]
            assert volume["secret"] == {"secretName": "authority", "items": [{"key": "ca.crt", "path": "ca.crt"}]}, name
            assert env["CULTIVAR_OIDC_CA"] == f"{folders['issuer']}/ca.crt"
        else:
            assert name == f"Job {RELEASE}-migration"


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("services.reviews.replicas=1", "/services"),
        ("database.secrets=mine", "/database"),
        ("services.review.replicas=two", "/services/review/replicas"),
        ("artifacts.url=http://store", "/artifacts/url"),
        ("teachers.url=http://teachers", "/teachers/url"),
        ("database.secret=Not_A_Name", "/database/secret"),
        ("settings.run_slots=8", "/settings"),
        ("oidc.issuer=http://id.example", "/oidc/issuer"),
        ("services.review.oidcClient=7", "/services/review/oidcClient"),
    ],
)
def test_a_value_that_is_wrong_is_refused_by_the_schema_by_its_path(value: str, named: str) -> None:
    refused = helm("template", RELEASE, str(CHART), *flags(GIVEN), "--set", value)
    assert refused.returncode != 0
    assert f"'{named}" in refused.stderr


def test_a_row_overrides_the_defaults_and_a_row_of_null_leaves_a_service_out() -> None:
    changed = {"services.review.replicas": "5", "services.training": "null", "defaults.replicas": "3"}
    deployments = of_kind(rendered("cultivar", values={**GIVEN, **changed}), "Deployment")
    assert f"{RELEASE}-training" not in deployments
    assert deployments[f"{RELEASE}-review"]["spec"]["replicas"] == 5
    assert deployments[f"{RELEASE}-datasets"]["spec"]["replicas"] == 3


def test_a_setting_is_given_to_all_or_to_one_service_in_clear_or_from_a_secret() -> None:
    changed = {
        "settings.CULTIVAR_RUN_SLOTS": "8",
        "services.review.settings.CULTIVAR_RUN_SLOTS": "2",
        "services.console.secretSettings.CULTIVAR_TEACHERS_KEY.secret": "keys",
        "services.console.secretSettings.CULTIVAR_TEACHERS_KEY.key": "console",
    }
    set_strings = [part for name, of in changed.items() for part in ("--set-string", f"{name}={of}")]
    deployments = of_kind(rendered("cultivar", *set_strings, values=GIVEN), "Deployment")
    env = {
        name: {each["name"]: each for each in container_of(deployment)["env"]}
        for name, deployment in deployments.items()
    }
    assert env[f"{RELEASE}-datasets"]["CULTIVAR_RUN_SLOTS"]["value"] == "8"
    assert env[f"{RELEASE}-review"]["CULTIVAR_RUN_SLOTS"]["value"] == "2"
    key = env[f"{RELEASE}-console"]["CULTIVAR_TEACHERS_KEY"]["valueFrom"]["secretKeyRef"]
    assert key == {"name": "keys", "key": "console"}
    assert "CULTIVAR_TEACHERS_KEY" not in env[f"{RELEASE}-datasets"]
