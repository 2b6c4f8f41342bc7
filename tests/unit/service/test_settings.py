"""Every setting by flag, environment or file, each with its sentence."""

import sys
from pathlib import Path

import pytest
from cultivar.cli.main import app
from cultivar_datasets.settings import DatasetsSettings
from cultivar_service.errors import StartError
from cultivar_service.settings import Settings
from cultivar_training.settings import TrainingSettings
from typer.testing import CliRunner

PROGRAM = "python -m cultivar_training"


def given(monkeypatch: pytest.MonkeyPatch, *flags: str, **environment: str) -> TrainingSettings:
    """Settings of a program with flags and environment."""
    monkeypatch.setattr(sys, "argv", [PROGRAM, *flags])
    for name, value in environment.items():
        monkeypatch.setenv(f"CULTIVAR_{name.upper()}", value)
    return TrainingSettings.from_command_line(PROGRAM)


def test_a_flag_goes_before_the_environment_and_that_before_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("run_slots: 1\nlease_seconds: 2\ntraining_slots: 3\nport: 4\n")
    settings = given(monkeypatch, "--run-slots", "5", settings_file=str(file), run_slots="6", lease_seconds="7")
    assert (settings.run_slots, settings.lease_seconds, settings.training_slots) == (5, 7.0, 3)
    assert settings.port == 4


@pytest.mark.parametrize("kind", [Settings, DatasetsSettings, TrainingSettings])
def test_every_setting_has_its_sentence(kind: type[Settings]) -> None:
    assert [name for name, field in kind.model_fields.items() if not (field.description or "").endswith(".")] == []


def test_help_has_a_flag_and_the_sentence_of_every_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        given(monkeypatch, "--help")
    said = " ".join(capsys.readouterr().out.split())
    assert "CULTIVAR_SETTINGS_FILE" in said
    for name, field in TrainingSettings.model_fields.items():
        assert f"--{name.replace('_', '-')} " in said.replace(",", " ")
        assert " ".join((field.description or "").split()[:4]) in said


def test_a_wrong_value_is_named_with_where_to_correct_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StartError, match=r"run_slots is wrong: .* correct CULTIVAR_RUN_SLOTS or --run-slots"):
        given(monkeypatch, run_slots="many")


def test_a_file_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StartError, match=r"/nowhere.yaml does not exist: correct CULTIVAR_SETTINGS_FILE"):
        given(monkeypatch, settings_file="/nowhere.yaml")


def test_the_own_settings_of_a_service_join_those_of_a_process_of_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CULTIVAR_TRAINING_SLOTS", "9")
    joined = TrainingSettings.extending(Settings(run_slots=2))
    assert (joined.training_slots, joined.run_slots) == (9, 2)


def test_a_file_that_is_not_yaml_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("port: [")
    with pytest.raises(StartError, match="the settings cannot be read"):
        given(monkeypatch, settings_file=str(tmp_path / "settings.yaml"))


def test_the_commands_of_the_command_line_name_a_wrong_setting_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CULTIVAR_RUN_SLOTS", "many")
    ended = CliRunner().invoke(app, ["doctor"])
    assert ended.exit_code == 1
    assert "the setting run_slots is wrong" in ended.stderr
