"""`cultivar doctor` in the place of a service: what is fine, and what to do about what is not."""

import asyncio
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from cultivar.cli.audit import SERVICES

from tests.pieces.conftest import Cluster
from tests.pieces.pieces import make_certificates

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(480)]


async def examined(cluster: Cluster, **changed: str) -> tuple[int, dict[str, str]]:
    """Runs it with the environment of the review service; returns its status, and what it said of each thing."""
    environment = {**cluster.pieces.of("review")[0].environment, **changed}
    doctor = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("cultivar")), "doctor"),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await doctor.communicate()
    lines = [line.partition(": ") for line in said.decode().splitlines()]
    assert doctor.returncode is not None
    return doctor.returncode, {what: found for what, _, found in lines}


async def test_all_is_fine_where_a_service_runs(cluster: Cluster) -> None:
    status, said = await examined(cluster)
    assert status == 0, said
    assert "as cultivar_review" in said["✓ database"]
    assert "this machine's" in said["✓ clock"]
    assert said["✓ schemas"].endswith("this role may use review")
    assert said["✓ store"].endswith("conditional writes are honoured")
    assert all(said[f"✓ {service}"] == f"serves version {version('cultivar')}" for service in SERVICES)
    assert said["✓ issuer"].endswith("knows this service as cultivar-review")
    assert "the token is valid" in said["✓ token"]


async def test_what_is_wrong_is_said_with_what_to_do(cluster: Cluster) -> None:
    url = cluster.pieces.of("review")[0].environment["CULTIVAR_DATABASE_URL"]
    cluster.issuer.add_client("payroll")
    status, said = await examined(
        cluster,
        CULTIVAR_DATABASE_URL=url.replace("cultivar_review", "cultivar_nobody"),
        CULTIVAR_ARTIFACTS="s3://nowhere/trial",
        CULTIVAR_OIDC_CLIENT_ID="payroll",
        CULTIVAR_PEERS=cluster.pieces.addresses.replace(cluster.pieces.of("review")[0].address, "127.0.0.1:9").replace(
            cluster.pieces.of("review")[1].address, "127.0.0.1:9"
        ),
    )
    assert status == 1
    assert "check user and password in CULTIVAR_DATABASE_URL" in said["✗ database"]
    assert "bucket 'nowhere' does not exist" in said["✗ store"] and "create it" in said["✗ store"]
    assert "does not answer" in said["✗ review"]
    assert said["✓ training"].startswith("serves")
    assert said["✗ token"].startswith("payroll needs the role viewer in projects/default; ask an admin")


async def test_a_certificate_of_another_ca_is_told_from_a_service_that_is_away(
    cluster: Cluster, tmp_path: Path
) -> None:
    make_certificates(tmp_path)
    status, said = await examined(cluster, CULTIVAR_TLS_CA=str(tmp_path / "ca.pem"))
    assert status == 1
    assert "check CULTIVAR_TLS_CA and CULTIVAR_TLS_NAME" in said["✗ review"]
