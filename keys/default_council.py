"""The directory to begin with: the states of the Tripoli conference, observers, groupings, national names.

May import `schemas` and the standard library; reads the package's own data files, whose sources are in
`docs/directory-content.md`. `barid trust init`, `barid node init` and the demonstration call it.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from schemas.bulletin.vocabularies import Classification
from schemas.directory import Council, HubAddress, Logs, Names, UnitName
from schemas.limits import TRUST_FILE_BYTES_MAX
from schemas.loader import dump_json, load_json, parse
from schemas.scalars import MemberId, Message


class _MemberNames(Message):
    """What a member's own people call its desks, and the levels of classification."""

    desks: dict[UnitName, Names]
    classification: dict[Classification, Names]


class _AllNames(Message):
    """`data/members.json`."""

    members: dict[MemberId, _MemberNames]


def default_council(exchange: str, hub: HubAddress, logs: Logs, *, test: bool = True) -> Council:
    """Fill in the default council for one hub.

    Names are the states' short names in ar, fr, en; each grouping has its members among the nine states
    (Algeria is no member of CEN-SAD; Chad, Mali and Niger are not in the League of Arab States). A group
    with a function stands for the desks that have it, as `judicial_network` for the judicial desks.
    States receive everything, observers what is green and unclassified; deadlines and grace are the
    protocol's.

    Args:
        exchange: the exchange's name.
        hub: where the hub answers.
        logs: the hub's log keys.
        test: without witnesses an exchange is a test exchange.

    Raises:
        ParseError: not a council, as where `test` is false.
    """
    content = load_json(_data("council.json"), TRUST_FILE_BYTES_MAX)
    fixed = {
        "v": 1,
        "exchange": exchange,
        "test": test,
        "witnesses": "none",
        "hub": hub.model_dump(mode="json"),
        "logs": logs.model_dump(mode="json"),
    }
    return parse(Council, dump_json(content | fixed), TRUST_FILE_BYTES_MAX)


def desk_names(member: str, unit: str) -> Names | None:
    """What professionals of a member call one of its desks; None for a desk that is not in the data."""
    known = _all_names().get(member)
    return known.desks.get(unit) if known else None


def classification_names(member: str) -> dict[Classification, Names]:
    """What a state calls the four levels; empty for an organisation, and for who is not in the data."""
    known = _all_names().get(member)
    return dict(known.classification) if known else {}


@cache
def _all_names() -> dict[MemberId, _MemberNames]:
    return parse(_AllNames, _data("members.json"), TRUST_FILE_BYTES_MAX).members


def _data(name: str) -> bytes:
    return files("keys").joinpath("data", name).read_bytes()
