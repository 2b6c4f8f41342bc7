"""The settings that datasets has beside those of every service."""

import os
import tempfile
from pathlib import Path

from cultivar_service.settings import Settings
from pydantic import Field


def temporary_spool() -> Path:
    """Returns a folder for temporary files of this user alone."""
    return Path(tempfile.gettempdir()) / f"cultivar-spool-{os.getuid()}"


class DatasetsSettings(Settings):
    """Settings of the datasets service."""

    datasets_spool: Path = Field(
        default_factory=temporary_spool,
        description="The private folder for uploads that are not whole yet; made if absent.",
    )
    datasets_most_file_bytes: int = Field(4 << 30, ge=1, description="The largest file that may be uploaded, in bytes.")
    datasets_abandoned_hours: float = Field(
        24.0, gt=0, description="How long an upload that broke off can be gone on with."
    )
