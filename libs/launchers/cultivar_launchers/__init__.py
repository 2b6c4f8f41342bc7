"""Starts programs inside Ray and follows them: on a local Ray, on a cluster that stands, or as a fake.

This package never imports Ray; `head` and `echo` do, and run as processes of their own.
"""

from cultivar_launchers.errors import (
    FolderInUse,
    InvalidProgram,
    LauncherError,
    LaunchFailed,
    RayUnavailable,
    StaleAttempt,
)
from cultivar_launchers.fake import Failure, FakeLauncher
from cultivar_launchers.local_ray import LocalRay, Phase, RayState
from cultivar_launchers.orphans import end_orphans
from cultivar_launchers.protocol import Event, Job, Launcher, Outcome, Program
from cultivar_launchers.ray_launchers import LocalRayLauncher, StandingRayLauncher

__all__ = [
    "Event",
    "Failure",
    "FakeLauncher",
    "FolderInUse",
    "InvalidProgram",
    "Job",
    "LaunchFailed",
    "Launcher",
    "LauncherError",
    "LocalRay",
    "LocalRayLauncher",
    "Outcome",
    "Phase",
    "Program",
    "RayState",
    "RayUnavailable",
    "StaleAttempt",
    "StandingRayLauncher",
    "end_orphans",
]
