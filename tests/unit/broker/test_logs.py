"""Logs: one JSON object a line, and nothing in it that quotes content or keys."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from broker.logs import WITHHELD, configure_logs

SECRET = "the convoy leaves at dawn"
TOKEN = "barid_8Jt4vXq0mY2bZk5nRw7sLp1cDf3gHj6AeUoIiTyBxQ"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What is logged at every level; the logging of the test run is put back afterwards."""
    root, own = logging.getLogger(), logging.getLogger("barid")
    before = [*root.handlers], root.level, own.level, sys.excepthook, threading.excepthook
    made = io.StringIO()
    configure_logs("debug", made)
    yield made
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    own.setLevel(before[2])
    sys.excepthook, threading.excepthook = before[3], before[4]


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Each line as its object, without the time."""
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    for each in found:
        assert each.pop("timestamp").endswith("Z")
    return found


def fail() -> None:
    """Fail as a bug does that has content in its hands."""
    raise ValueError(SECRET)


def test_a_line_is_one_object(stream: io.StringIO) -> None:
    """Level, logger, message and fields stand in one JSON object; times are UTC."""
    extra = {"envelope": "019ab5f0", "works": 3, "problem": "no-permit"}
    logging.getLogger("barid.hub").info("refused: %s", "ly/main", extra=extra)
    assert lines(stream) == [
        {"event": "refused: ly/main", "level": "info", "logger": "barid.hub", **extra}
    ]


def test_an_error_is_told_by_its_type_and_place(stream: io.StringIO) -> None:
    """Neither the message of an exception nor a traceback is written: both quote what was handled."""
    try:
        fail()
    except ValueError:
        logging.getLogger("barid.hub").exception("failed")
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application\n")
    assert SECRET not in stream.getvalue()
    assert "Traceback" not in stream.getvalue()
    for each in lines(stream):
        assert each["error"] == "ValueError"
        assert each["where"].startswith("unit/broker/test_logs.py:")
        assert each["where"].endswith(" fail")


@pytest.mark.parametrize(
    "name", ["text", "title", "content_key", "token", "release_salts", "passphrase", "body"]
)
def test_a_field_that_holds_content_is_withheld(stream: io.StringIO, name: str) -> None:
    """Known names are withheld whatever stands in them."""
    logging.getLogger("barid.node").info("stored", extra={name: SECRET})
    assert lines(stream)[0][name] == WITHHELD


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"\x01" * 32, "(32 bytes)"),
        (bytearray(4), "(4 bytes)"),
        ({"title": SECRET}, "(dict)"),
        ([SECRET], "(list)"),
        (ValueError(SECRET), "(ValueError)"),
        (f"header Bearer {TOKEN}", f"header Bearer {WITHHELD}"),
        ("two\nlines \x1b[2J", "'two\\nlines \\x1b[2J'"),
        ("x" * 600, "x" * 500),
        (7, 7),
        (None, None),
    ],
    ids=["bytes", "bytearray", "dict", "list", "error", "token", "controls", "long", "int", "none"],
)
def test_a_value_is_harmless_or_its_kind_alone(
    stream: io.StringIO, value: object, shown: object
) -> None:
    """Only numbers and short printable text pass, as field and as argument."""
    logging.getLogger("barid.node").info("done: %s", value, extra={"outcome": value})
    (line,) = lines(stream)
    assert (line["outcome"], line["event"]) == (shown, f"done: {shown}"[:500])


def test_of_a_library_only_its_own_words_are_told(stream: io.StringIO) -> None:
    """The template's first line and numbers pass; other arguments, extras and the level info do not."""
    library = logging.getLogger("uvicorn.error")
    library.warning(
        "bad %s after %d bytes\n%s", SECRET, 17, SECRET, extra={"color_message": SECRET}
    )
    library.info("nobody hears this")
    assert lines(stream) == [
        {
            "event": f"bad {WITHHELD} after 17 bytes",
            "level": "warning",
            "logger": "uvicorn.error",
        }
    ]


@pytest.mark.parametrize("arguments", [(SECRET,), {"a": SECRET}], ids=["too few", "another name"])
def test_arguments_that_do_not_fit_are_left_out(stream: io.StringIO, arguments: Any) -> None:
    """A message that cannot be formatted is told as it was written."""
    record = logging.LogRecord("sqlalchemy", logging.ERROR, "", 0, "%(b)s and %d", (), None)
    record.args = arguments
    logging.getLogger().handlers[0].handle(record)
    assert lines(stream)[0]["event"] == "%(b)s and %d"


def test_what_ends_a_thread_is_told_without_content(stream: io.StringIO) -> None:
    """An error that nobody catches reaches the log, by its type."""
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    (line,) = lines(stream)
    assert (line["level"], line["error"]) == ("critical", "ValueError")


def test_what_ends_the_process_is_told_without_content(stream: io.StringIO) -> None:
    """So does what would end the process; Ctrl-C is no error."""
    sys.excepthook(ValueError, ValueError(SECRET), None)
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    (line,) = lines(stream)
    assert (line["level"], line["error"]) == ("critical", "ValueError")


def test_on_a_terminal_lines_are_for_people() -> None:
    """There a person reads words instead of JSON, without content all the same."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    root = logging.getLogger()
    before = [*root.handlers], root.level, sys.excepthook, threading.excepthook
    terminal = Terminal()
    try:
        configure_logs("info", terminal)
        logging.getLogger("barid.hub").warning("halted", extra={"title": SECRET})
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        sys.excepthook, threading.excepthook = before[2], before[3]
    assert "halted" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")
    assert SECRET not in terminal.getvalue()
