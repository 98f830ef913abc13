"""Logging: events with fields, as lines for people or as JSON; no key and no prompt ever goes in."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

import structlog

#: An API key, or a webhook's signing secret, in any text; of a key the first 12 characters may be seen.
SECRETS = re.compile(r"(fs_(?:live|test)_[0-9A-Za-z]{4})[0-9A-Za-z]{32}|(whsec_)[0-9A-Za-z+/=]{32,}")

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure_logging(level: str, form: str) -> None:
    """Set up logging of this process, to stderr."""
    number = _LEVELS.get(level.lower(), 20)
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json" or (form == "auto" and not sys.stderr.isatty())
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*processors(), renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(number, logging.WARNING), stream=sys.stderr, format="%(name)s: %(message)s")


def processors() -> list[structlog.typing.Processor]:
    """What happens to each event before it is written."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # Plain tracebacks. With the values of variables in them, keys and prompts would be among these.
        structlog.processors.format_exc_info,
        hide_secrets,
    ]


def hide_secrets(logger: Any, name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """The last line of defence: nothing should log a key, and if something does, its end is not written."""
    for field, value in event.items():
        if isinstance(value, str) and SECRETS.search(value):
            event[field] = SECRETS.sub(lambda found: f"{found[1] or found[2]}…", value)
    return event
