"""How many replicas serve: a fixed number, or as many as the requests ask for."""

from typing import Any

from cultivar_generation.teachers.settings import TeacherSettings


def scaling(settings: TeacherSettings) -> dict[str, Any]:
    """Gives the options of a deployment in Ray Serve: `num_replicas`, or `autoscaling_config` where a most is set."""
    if not settings.max_replicas:
        return {"num_replicas": settings.replicas}
    return {
        "autoscaling_config": {
            "min_replicas": settings.min_replicas,
            "max_replicas": settings.max_replicas,
            "target_ongoing_requests": settings.target_ongoing_requests,
            "upscale_delay_s": settings.upscale_delay_s,
            "downscale_delay_s": settings.downscale_delay_s,
        }
    }
