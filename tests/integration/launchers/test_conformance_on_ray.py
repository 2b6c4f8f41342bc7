"""Runs the tests that every launcher passes over local Ray."""

import pytest

from tests.unit.launchers.test_conformance import *  # noqa: F403

pytestmark = pytest.mark.asyncio(loop_scope="module")
