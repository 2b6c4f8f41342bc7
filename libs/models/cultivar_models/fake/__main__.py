"""Runs the fake teacher: `python -m cultivar_models.fake --port 0` prints its URL and serves until it is ended."""

import argparse
import asyncio
import signal
import sys

from pydantic import ValidationError

from cultivar_models.fake.server import FakeTeacher
from cultivar_models.fake.settings import FakeSettings


def main() -> None:
    """Reads the command line and serves."""
    parser = argparse.ArgumentParser(description="Serves invented answers in the OpenAI protocol.")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--settings", default="{}", help='JSON, as for POST /settings: {"latency_s": 0.05}')
    options = parser.parse_args()
    try:
        settings = FakeSettings.model_validate_json(options.settings)
    except ValidationError as error:
        parser.error(f"--settings is wrong: {error}")
    asyncio.run(_serve(settings, options.host, options.port))


async def _serve(settings: FakeSettings, host: str, port: int) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with FakeTeacher(settings, host=host, port=port) as teacher:
        sys.stdout.write(f"{teacher.url}\n")
        sys.stdout.flush()
        await ended.wait()


if __name__ == "__main__":
    main()
