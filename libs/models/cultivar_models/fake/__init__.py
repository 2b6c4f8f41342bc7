"""A fake teacher: a real server of the OpenAI protocol whose answers are invented, the same each time, and free."""

from cultivar_models.fake.server import FakeTeacher
from cultivar_models.fake.settings import FakeSettings
from cultivar_models.fake.stats import Stats

__all__ = ["FakeSettings", "FakeTeacher", "Stats"]
