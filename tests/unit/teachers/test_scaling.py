from typing import Any

import pytest
from cultivar_generation.teachers.settings import SettingsInvalid, TeacherSettings, read_settings


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CULTIVAR_TEACHERS_KEY", "the-key-of-this-test")


def deployed(**given: Any) -> Any:
    """Returns what Ray Serve is told about the replicas."""
    from cultivar_generation.teachers.app import build

    return build(TeacherSettings.model_validate(given))._bound_deployment._deployment_config


def test_without_a_most_the_replicas_are_as_many_as_is_said() -> None:
    config = deployed(replicas=3)
    assert (config.num_replicas, config.autoscaling_config) == (3, None)


def test_with_a_most_ray_serve_scales_between_the_bounds() -> None:
    config = deployed(
        min_replicas=0, max_replicas=5, target_ongoing_requests=12, upscale_delay_s=3, downscale_delay_s=70
    ).autoscaling_config
    assert (config.min_replicas, config.max_replicas, config.target_ongoing_requests) == (0, 5, 12)
    assert (config.upscale_delay_s, config.downscale_delay_s) == (3, 70)


def test_bounds_that_contradict_each_other_are_refused_wherever_each_came_from() -> None:
    with pytest.raises(SettingsInvalid, match="min_replicas is above max_replicas"):
        read_settings(b'{"min_replicas": 3}', {"CULTIVAR_TEACHERS_MAX_REPLICAS": "2"})
