"""Every line of the log, ours and others': one JSON object each, or one line of text where a person looks on."""

import json
import logging
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor

Form = Literal["auto", "json", "text"]

# What would end a line, move the cursor or turn the writing round: a client's words must not look like ours.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_PLAIN = re.compile(r"[\w.,:;/@+*()-]+", re.ASCII)


def configure(form: Form) -> None:
    """All records go to stderr, in one shape. Called once, before the server starts."""
    handler = logging.StreamHandler(sys.stderr)
    render: Processor = _text if is_text(form) else _json
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_STAMPS, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _ordered,
                render,
            ],
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def is_text(form: Form) -> bool:
    """`auto` is text on a terminal."""
    return form == "text" or (form == "auto" and sys.stderr.isatty())


def clean(text: str, most: int) -> str:
    """At most so many characters, control characters spelled out."""
    cut = text if len(text) <= most else text[:most] + "..."
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", cut)


def _ordered(_logger: Any, _name: str, event: EventDict) -> EventDict:
    """When, how bad and what come first; what is absent is left out."""
    first = {name: event.pop(name, "") for name in ("time", "level", "event")}
    first["event"] = clean(str(first["event"]), 4000)
    return {**first, **{name: value for name, value in event.items() if value not in (None, "")}}


def _json(_logger: Any, _name: str, event: EventDict) -> str:
    return json.dumps(event, default=str)


def _text(_logger: Any, _name: str, event: EventDict) -> str:
    trace = event.pop("exception", "")
    head = [str(event.pop(name)) for name in ("time", "level", "event")]
    line = " ".join([*head, *(f"{name}={_value(value)}" for name, value in event.items())])
    # Indented, so that no line of it passes for one of the log.
    lines = [clean(part, 1000) for part in str(trace).splitlines()]
    return "\n    ".join([line, *lines])


def _value(value: Any) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


_STAMPS: list[Processor] = [
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
]

# Through the standard library's loggers, so that a program that brings its own logging gets these lines too.
# Bound once, since binding takes as long as a line.
_request: structlog.stdlib.BoundLogger = structlog.wrap_logger(
    logging.getLogger("imago.request"),
    wrapper_class=structlog.stdlib.BoundLogger,
    processors=[
        structlog.stdlib.filter_by_level,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
).bind()


def request(status: int, now: float, /, **fields: Any) -> None:
    """The one line of a request that was answered at `now`, of time.time()."""
    say: Callable[..., Any] = _request.info if status < 500 else _request.warning
    say("request", time=_iso(now), **fields)


def _iso(now: float) -> str:
    """As structlog's TimeStamper writes it."""
    return f"{datetime.fromtimestamp(now, UTC).replace(tzinfo=None).isoformat()}Z"
