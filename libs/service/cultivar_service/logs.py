"""Structured logs: one JSON object a line, with ids and never texts or secrets."""

import logging
import sys
from typing import Literal

import structlog


def configure_logs(form: Literal["json", "console"] = "json") -> None:
    """Sends structlog and the standard library's warnings to standard error in one form."""
    render: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # A stream that a stopping server cuts is reported to its caller; the library would print a traceback besides.
    logging.getLogger("grpc._cython.cygrpc").setLevel(logging.CRITICAL)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")


log = structlog.get_logger()
