"""What can go wrong with launching.

LauncherError
├── InvalidProgram   the program is described wrongly, or can never get what it asks for
├── StaleAttempt     a newer attempt of the same program is known
├── LaunchFailed     the program's process could not be started
├── RayUnavailable   local Ray did not start
└── FolderInUse      another live process works on the same data folder
"""


class LauncherError(Exception):
    """Is the root of all errors of launchers."""


class InvalidProgram(LauncherError):
    """Says that a program is described wrongly."""


class StaleAttempt(LauncherError):
    """Says that a newer or equal attempt was started before; the caller has lost its claim to the run."""


class LaunchFailed(LauncherError):
    """Says that no process could be started."""


class RayUnavailable(LauncherError):
    """Says that local Ray is not there, and why."""


class FolderInUse(LauncherError):
    """Says that the data folder's processes belong to a process that lives."""
