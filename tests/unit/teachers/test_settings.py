import json
from pathlib import Path

import pytest
from cultivar_generation.teachers.settings import SettingsInvalid, TeacherSettings, read_settings, required_key

KEY = "0123456789abcdef"


def test_the_spec_goes_before_the_environment_and_both_before_the_defaults() -> None:
    environment = {"CULTIVAR_TEACHERS_PORT": "1234", "CULTIVAR_TEACHERS_ROWS": "8"}
    settings = read_settings(b'{"port": 99}', environment)
    assert (settings.port, settings.rows, settings.host) == (99, 8, "127.0.0.1")


def test_a_default_that_the_spec_writes_out_still_goes_before_the_environment() -> None:
    default = TeacherSettings().port
    assert read_settings(json.dumps({"port": default}).encode(), {"CULTIVAR_TEACHERS_PORT": "1"}).port == default


def test_shared_variables_are_read_and_the_teachers_own_go_before_them() -> None:
    environment = {"CULTIVAR_ARTIFACTS": "/a", "RAY_ADDRESS": "host:1", "CULTIVAR_TEACHERS_ARTIFACTS": "/b"}
    settings = read_settings(None, environment)
    assert (settings.artifacts, settings.ray_address) == ("/b", "host:1")


@pytest.mark.parametrize("spec", [b'{"port": 70000}', b'{"no_such": 1}', b"not json", b"[]", b'{"dtype": "int8"}'])
def test_a_wrong_setting_is_named_and_its_value_is_not_repeated(spec: bytes) -> None:
    with pytest.raises(SettingsInvalid, match="is wrong") as refused:
        read_settings(spec, {})
    assert "70000" not in str(refused.value)


def test_the_key_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    assert required_key(TeacherSettings(), {"CULTIVAR_TEACHERS_KEY": KEY}) == KEY
    (tmp_path / "key").write_text(f"{KEY}\n")
    assert required_key(TeacherSettings(key_file=str(tmp_path / "key")), {}) == KEY


@pytest.mark.parametrize("environment", [{}, {"CULTIVAR_TEACHERS_KEY": ""}, {"CULTIVAR_TEACHERS_KEY": "short"}])
def test_without_a_key_worth_the_name_nothing_starts(environment: dict[str, str]) -> None:
    with pytest.raises(SettingsInvalid, match="CULTIVAR_TEACHERS_KEY"):
        required_key(TeacherSettings(), environment)


def test_a_key_file_that_cannot_be_read_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="cannot be read"):
        required_key(TeacherSettings(key_file=str(tmp_path / "absent")), {"CULTIVAR_TEACHERS_KEY": KEY})
