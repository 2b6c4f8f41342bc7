"""The settings that datasets has beside those of every service."""

import os
import tempfile
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def temporary_spool() -> Path:
    """Returns a folder for temporary files of this user alone."""
    return Path(tempfile.gettempdir()) / f"cultivar-spool-{os.getuid()}"


class DatasetsSettings(BaseSettings):
    """Settings of the datasets service; each is an environment variable `CULTIVAR_DATASETS_…`."""

    model_config = SettingsConfigDict(env_prefix="CULTIVAR_DATASETS_", extra="ignore")

    spool: Path = Field(
        default_factory=temporary_spool,
        description="The private folder for uploads that are not whole yet; made if absent.",
    )
    most_file_bytes: int = Field(4 << 30, ge=1, description="The largest file that may be uploaded, in bytes.")
    abandoned_hours: float = Field(24.0, gt=0, description="How long an upload that broke off can be gone on with.")
