"""A received bulletin for a person in a terminal: marked at top and bottom, whole, and how it was verified.

May import the node's views and `schemas`; `analyst` shows with it. The bulletin's own lines are indented,
so that no text of a sender can look like a marking.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from broker.cli.output import banner, say
from broker.node.api.views import Verified
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
    """What the node answered: the bulletin, and by what it was verified."""

    verified: Verified
    bulletin: Bulletin


def read_answer(answer: bytes) -> Received:
    """Read the node's answer.

    Raises:
        ParseError: it is not one.
    """
    plain = load_json(answer, _ANSWER_BYTES_MAX, floats_under=FLOATS_UNDER)
    if not isinstance(plain, dict) or plain.keys() != {"verified", "bulletin"}:
        raise ParseError("the node answered something else than a received bulletin")
    verified, bulletin = (_bytes(plain[name]) for name in ("verified", "bulletin"))
    return Received(parse(Verified, verified, _VERIFIED_BYTES_MAX), parse_bulletin(bulletin))


def _bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, default=float).encode()


def show_received(received: Received) -> None:
    """Print a bulletin for its reader."""
    bulletin, verified = received.bulletin, received.verified
    _mark(received)
    say()
    for language, title in bulletin.title.items():
        say(f"{_INDENT}[{language}] {title}")
    say()
    for name, texts in (("summary", bulletin.summary), ("text", bulletin.text or {})):
        for language, text in texts.items():
            say(f"{name} [{language}]")
            _say_indented(text)
            say()
    for line in _lines(_rest(bulletin)):
        say(_INDENT + line)
    say()
    say(f"Sent by {verified.sender}, whose node identity {verified.signer} signed it.")
    say(f"Sealed {format_time(verified.created)}, logged {format_time(verified.logged)},")
    say(f"received {format_time(verified.received)}, expires {format_time(verified.expires)}.")
    say(f"Place in the log: entry {verified.index} of {verified.origin}, leaf {verified.leaf}.")
    say(f"Permitted by: {', '.join(verified.policies)}.")
    say()
    _mark(received)


def _mark(received: Received) -> None:
    """The marking, and whether this is real: the first and the last lines that a reader sees."""
    bulletin, verified = received.bulletin, received.verified
    marking = bulletin.marking
    words = [f"TLP:{marking.tlp.upper()}", marking.classification.upper()]
    words += [caveat.upper() for caveat in marking.caveats]
    words += [f"TO {', '.join(marking.release_to)} ONLY"] if marking.release_to else []
    words += [f"PAP:{marking.pap.upper()}"] if marking.pap else []
    banner(" // ".join(words), TLP_COLOURS[marking.tlp])
    if bulletin.status is not Status.ACTUAL:
        name = f" {bulletin.exercise}" if bulletin.exercise else ""
        banner(f"*** {bulletin.status.upper()}{name}: THIS IS NOT REAL ***", TLP_COLOURS["clear"])
    if not verified.witnessed:
        banner("UNWITNESSED: nobody but the hub vouches for its log", TLP_COLOURS["clear"])
    say(f"{verified.precedence.upper()} {bulletin.kind} {bulletin.id} from {verified.sender}")


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
