"""Whom an issuer is taken for, before it is asked anything."""

from pathlib import Path

import pytest
from cultivar_service.errors import StartError
from cultivar_service.issuer import Issuer


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_that_cannot_be_read_is_named(tmp_path: Path, content: str | None) -> None:
    ca = tmp_path / "ca.pem"
    if content is not None:
        ca.write_text(content)
    with pytest.raises(StartError, match=f"{ca} cannot be read as a CA: .*; correct CULTIVAR_OIDC_CA"):
        Issuer("https://id.example", ca=ca)
