"""Starts the teachers: `python -m cultivar_generation.teachers [SPEC_FILE]`, on a Ray of their own or a running one.

Events go to stdout, one JSON object a line: `ready` with the `url` for clients (it ends in /v1) and the `models`,
`error` with a `message`. SIGTERM ends the program, and with it everything that it started.
"""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from cultivar_launchers.program import emit

from cultivar_generation.teachers.serving import ServeFailed, run
from cultivar_generation.teachers.settings import SettingsInvalid, TeacherSettings, read_settings


def main() -> int:
    """Runs the program; returns its exit status: 0 after SIGTERM, 1 when it failed, 2 for a wrong setting."""
    parser = argparse.ArgumentParser(prog="python -m cultivar_generation.teachers", description=__doc__)
    parser.add_argument("spec_file", nargs="?", type=Path, help="a JSON file with settings, before the environment's")
    parser.add_argument("--spec", type=Path, help="the same")
    arguments = parser.parse_args()
    try:
        asyncio.run(run(_settings(arguments.spec or arguments.spec_file), emit))
    except (SettingsInvalid, ServeFailed) as error:
        emit("error", message=str(error))
        return 2 if isinstance(error, SettingsInvalid) else 1
    return 0


def _settings(spec: Path | None) -> TeacherSettings:
    try:
        return read_settings(spec.read_bytes() if spec else None, os.environ)
    except OSError as error:
        raise SettingsInvalid(f"the spec file cannot be read: {error.strerror}") from error


if __name__ == "__main__":
    sys.exit(main())
