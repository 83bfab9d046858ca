"""A received bulletin for a person in a terminal: marked at top and bottom, whole, and how it was verified.

May import the node's views and `schemas`; `analyst` and `release` show with it. The bulletin's own lines
are indented, so that no text of a sender can look like a marking.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from broker.cli.output import banner, say
from broker.node.api.inbox_views import Marks, Verified
from schemas.bulletin import FLOATS_UNDER, Bulletin, parse_bulletin
from schemas.bulletin.vocabularies import Status
from schemas.errors import ParseError
from schemas.limits import BULLETIN_BYTES_MAX
from schemas.loader import load_json, parse, to_plain
from schemas.scalars import format_time

_ANSWER_BYTES_MAX: Final = 2 * BULLETIN_BYTES_MAX
_VERIFIED_BYTES_MAX: Final = 64 * 1024
_INDENT: Final = "  "

_SHOWN_BEFORE: Final = frozenset(
    {
        "version",
        "id",
        "kind",
        "status",
        "exercise",
        "title",
        "summary",
        "text",
        "marking",
        "created",
    }
)
"""Members with lines of their own; all others follow, whatever their kind brings."""

TLP_COLOURS: Final = {
    "clear": (255, 255, 255),
    "green": (51, 255, 0),
    "amber": (255, 192, 0),
    "amber+strict": (255, 192, 0),
    "red": (255, 43, 43),
}
"""The colours of the standard, on black (FIRST TLP 2.0)."""


@dataclass(frozen=True, slots=True)
class Received:
    """What the node answered: by what the bulletin was verified, what became of it, and the bulletin.

    There is no bulletin where its sender withdrew it before anybody read it.
    """

    verified: Verified
    marks: Marks
    bulletin: Bulletin | None


def read_answer(answer: bytes) -> Received:
    """Read the node's answer.

    Raises:
        ParseError: it is not one.
    """
    plain = load_json(answer, _ANSWER_BYTES_MAX, floats_under=FLOATS_UNDER)
    if not isinstance(plain, dict) or plain.keys() - {"bulletin"} != {"verified", "marks"}:
        raise ParseError("the node answered something else than a received bulletin")
    return Received(
        parse(Verified, _bytes(plain["verified"]), _VERIFIED_BYTES_MAX),
        parse(Marks, _bytes(plain["marks"]), _VERIFIED_BYTES_MAX),
        parse_bulletin(_bytes(plain["bulletin"])) if "bulletin" in plain else None,
    )


def _bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, default=float).encode()


def show_received(received: Received, bulletin_id: str) -> None:
    """Print a bulletin for its reader.

    Args:
        received: what the node answered.
        bulletin_id: that was asked for.
    """
    bulletin = received.bulletin
    _mark(received, bulletin_id)
    say()
    if bulletin is not None:
        say_content(bulletin)
        say()
    _say_verified(received.verified)
    say()
    _mark(received, bulletin_id)


def say_content(bulletin: Bulletin) -> None:
    """Print all that a bulletin says but its marking; indented, since a sender wrote it."""
    _say_texts("", bulletin.title)
    say()
    for name, texts in (("summary", bulletin.summary), ("text", bulletin.text or {})):
        for language, text in texts.items():
            say(f"{name} [{language}]")
            _say_indented(text)
            say()
    for line in _lines(_rest(bulletin)):
        say(_INDENT + line)


def _say_verified(verified: Verified) -> None:
    say(f"Sent by {verified.sender}, whose node identity {verified.signer} signed it.")
    say(f"Sealed {format_time(verified.created)}, logged {format_time(verified.logged)},")
    say(f"received {format_time(verified.received)}, expires {format_time(verified.expires)}.")
    say(f"Place in the log: entry {verified.index} of {verified.origin}, leaf {verified.leaf}.")
    say(f"Permitted by: {', '.join(verified.policies)}.")


def _mark(received: Received, bulletin_id: str) -> None:
    """Marking, what is not real, what became of it: the first and the last lines that a reader sees."""
    bulletin, verified = received.bulletin, received.verified
    if bulletin is not None:
        mark_content(bulletin)
    if not verified.witnessed:
        banner("UNWITNESSED: nobody but the hub vouches for its log", TLP_COLOURS["clear"])
    kind = "bulletin" if bulletin is None else bulletin.kind
    say(f"{verified.precedence.upper()} {kind} {bulletin_id} from {verified.sender}")
    _mark_fate(received.marks, is_hidden=bulletin is None)


def mark_content(bulletin: Bulletin) -> None:
    """Print a bulletin's marking, and that it is not real where it is not."""
    marking = bulletin.marking
    words = [f"TLP:{marking.tlp.upper()}", marking.classification.upper()]
    words += [caveat.upper() for caveat in marking.caveats]
    words += [f"TO {', '.join(marking.release_to)} ONLY"] if marking.release_to else []
    words += [f"PAP:{marking.pap.upper()}"] if marking.pap else []
    banner(" // ".join(words), TLP_COLOURS[marking.tlp])
    if bulletin.status is not Status.ACTUAL:
        name = f" {bulletin.exercise}" if bulletin.exercise else ""
        banner(f"*** {bulletin.status.upper()}{name}: THIS IS NOT REAL ***", TLP_COLOURS["clear"])


def _mark_fate(marks: Marks, *, is_hidden: bool) -> None:
    """What became of it since: withdrawn, superseded, exported."""
    if marks.withdrawn is not None:
        before = " BEFORE ANYBODY HERE READ IT" if is_hidden else ": DO NOT USE IT"
        banner(f"*** WITHDRAWN BY ITS SENDER{before} ***", TLP_COLOURS["red"])
        say(f"Withdrawn {format_time(marks.withdrawn.at)} by {marks.withdrawn.by}, which says:")
        _say_texts("reason ", marks.withdrawn.reason)
    if marks.superseded_by is not None:
        banner(f"*** SUPERSEDED: READ {marks.superseded_by} ***", TLP_COLOURS["amber"])
    if marks.supersedes is not None:
        say(f"Supersedes {marks.supersedes}.")
    if marks.exported is not None:
        say(f"Saved as a file since {format_time(marks.exported)}.")


def _say_texts(name: str, texts: Mapping[str, str]) -> None:
    """A short text in its languages; indented, since a sender wrote it."""
    for language, text in texts.items():
        first, *others = text.splitlines() or [""]
        say(f"{_INDENT}{name}[{language}] {first}")
        for line in others:
            say(_INDENT + line)


def _rest(bulletin: Bulletin) -> dict[str, Any]:
    plain = to_plain(bulletin)
    rest = {name: value for name, value in plain.items() if name not in _SHOWN_BEFORE}
    if note := plain["marking"].get("handling_note"):
        rest = {"handling_note": note, **rest}
    return {name: value for name, value in rest.items() if value not in ([], {})}


def _say_indented(text: str) -> None:
    for line in text.splitlines():
        say(_INDENT + line)


def _lines(value: Any) -> Iterator[str]:
    """Plain values as indented lines; nothing is left out."""
    members = value.items() if isinstance(value, dict) else enumerate(value, start=1)
    for name, member in members:
        if isinstance(member, dict) or (
            isinstance(member, list) and any(isinstance(item, dict | list) for item in member)
        ):
            yield f"{name}:"
            yield from (_INDENT + line for line in _lines(member))
        elif isinstance(member, list):
            yield f"{name}: {', '.join(str(item) for item in member)}"
        elif isinstance(member, bool):
            yield f"{name}: {'yes' if member else 'no'}"
        else:
            first, *others = str(member).splitlines() or [""]
            yield f"{name}: {first}"
            yield from (_INDENT + line for line in others)
