"""The settings that generation has beside those of every service."""

from cultivar_service.settings import Settings
from pydantic import Field

from cultivar_generation.credentials import MEANT_FOR_TEACHERS


class GenerationSettings(Settings):
    """Settings of the generation service."""

    teacher_credentials: str = Field(
        "",
        description="What teachers may name as keys, patterns separated by blanks, in which * stands for anything and "
        f"{{project}} for the project; empty for anything, and where people sign in for `{MEANT_FOR_TEACHERS}`.",
    )

    @property
    def allowed_credentials(self) -> str:
        """The patterns of what teachers may name; empty for anything."""
        return self.teacher_credentials or (MEANT_FOR_TEACHERS if self.oidc_issuer else "")
