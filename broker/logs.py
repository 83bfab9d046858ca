"""Logs: one JSON object a line on standard error, or lines for people on a terminal; never content or keys.

May import structlog and the standard library; hub, node and auditor call `configure_logs` once, as they
start, and every module writes with `logging.getLogger("barid.…")`.
"""

from __future__ import annotations

import copy
import logging
import re
import sys
import threading
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LEVELS: Final = ("debug", "info", "warning", "error")
"""What `BARID_LOG_LEVEL` may be."""

WITHHELD: Final = "(withheld)"
"""Stands where something was that no log may hold."""

_OWN: Final = "barid"

_TEXT_CHARACTERS_MAX: Final = 500
"""Characters of one value: an id has 36, a hash 64, a sentence under 200."""

_SECRET_WORDS: Final = frozenset(
    [
        *("authorization", "body", "ciphertext", "content", "cookie", "credential", "document"),
        *(
            "header",
            "key",
            "keys",
            "passphrase",
            "password",
            "payload",
            "plaintext",
            "salt",
            "salts",
        ),
        *(
            "secret",
            "seed",
            "seeds",
            "slot",
            "slots",
            "statement",
            "summary",
            "text",
            "title",
            "token",
        ),
    ]
)
"""Words in the names of fields that hold content or keys: `content_key` is withheld, `keyid` is not."""

_TOKEN: Final = re.compile(r"barid_[A-Za-z0-9_-]{16,}")
"""An agency's bearer token, wherever it stands."""

_LOG: Final = logging.getLogger("barid.logs")


def configure_logs(level: str = "info", stream: TextIO | None = None) -> None:
    """Send what this process logs, and the libraries' warnings, through one formatter.

    Args:
        level: of `LEVELS`, for our own loggers; libraries are heard from `warning` on.
        stream: standard error, if not given.
    """
    stream = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Formatter(for_people=stream.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(_OWN).setLevel(level.upper())
    # What nobody catches ends the process or its thread, and would be printed with its message.
    sys.excepthook = _note_end
    threading.excepthook = _note_thread_end


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Withholds first, then formats: nothing that is not known to be harmless reaches a renderer."""

    def __init__(self, *, for_people: bool) -> None:
        renderer: Processor = structlog.processors.JSONRenderer()
        if for_people:
            renderer = structlog.dev.ConsoleRenderer()
        super().__init__(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
                _withhold_fields,
                structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )

    def format(self, record: logging.LogRecord) -> str:
        """Write one record as a line."""
        return super().format(_harmless_record(record))


def _harmless_record(record: logging.LogRecord) -> logging.LogRecord:
    """A record without what may quote content.

    1. Of an exception its type, and where it was raised; never its message, which quotes what was handled.
    2. Of our own messages the text, with each argument and each field made harmless.
    3. Of a library's message the first line of its own words, and of its arguments the numbers: we do not
       know what else it says.
    """
    if _is_own(record.name):
        made = copy.copy(record)
        made.msg = harmless(_formatted(str(record.msg), record.args, harmless))
    else:
        text = _formatted(str(record.msg), record.args, _number_only).partition("\n")[0]
        made = logging.LogRecord(record.name, record.levelno, "", 0, text, None, None)
    made.args, made.exc_info, made.exc_text, made.stack_info = (), None, None, None
    if isinstance(record.exc_info, tuple) and record.exc_info[1] is not None:
        made.__dict__ |= _error_fields(record.exc_info[1])
    return made


def _is_own(logger: str) -> bool:
    return logger == _OWN or logger.startswith(f"{_OWN}.")


def _formatted(template: str, arguments: Any, each: Callable[[object], object]) -> str:
    if not arguments:
        return template
    try:
        if isinstance(arguments, dict) and "%(" not in template:
            # The one argument was a mapping, which logging takes for named ones.
            return template % (each(arguments),)
        if isinstance(arguments, dict):
            return template % {name: each(value) for name, value in arguments.items()}
        return template % tuple(each(value) for value in arguments)
    except (TypeError, ValueError, KeyError):
        return template


def _number_only(value: object) -> object:
    return value if isinstance(value, int | float) else WITHHELD


def harmless(value: object) -> Any:
    """A value as it may be logged: numbers, short printable text without tokens; else its kind alone."""
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, str):
        text = _TOKEN.sub(WITHHELD, str(value)[:_TEXT_CHARACTERS_MAX])
        # A line break or a command to the terminal is written out.
        return text if text.isprintable() else ascii(text)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"({len(value)} bytes)"
    return f"({type(value).__name__})"


def _withhold_fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {
        name: value if name.startswith("_") else _field(name, value)
        for name, value in event.items()
    }


def _field(name: str, value: object) -> Any:
    # `event` was made harmless with its record.
    is_secret = name != "event" and not _SECRET_WORDS.isdisjoint(name.lower().split("_"))
    return WITHHELD if is_secret else harmless(value)


def _error_fields(error: BaseException) -> dict[str, str]:
    """What is told of an exception: its type, and the innermost place of the code."""
    fields = {"error": type(error).__name__}
    frames = traceback.extract_tb(error.__traceback__)
    if frames:
        # Only the end of the path: where things are installed says nothing.
        place = "/".join(frames[-1].filename.split("/")[-3:])
        fields["where"] = f"{place}:{frames[-1].lineno} {frames[-1].name}"
    return fields


def _note_end(
    kind: type[BaseException], error: BaseException, _trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    _LOG.critical("ended by an error that nobody expected", extra=_error_fields(error))


def _note_thread_end(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is not None:
        _LOG.critical(
            "a thread was ended by an error that nobody expected",
            extra=_error_fields(arguments.exc_value),
        )
