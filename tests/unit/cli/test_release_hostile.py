"""A node in a thief's hands: whatever it shows, it gets no signature for anything else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.cli.exits import Exit
from broker.cli.options import utc_now
from keys.derivation import sha256_hex
from keys.release import draft_release, recipient_hash
from schemas.scalars import encode_base64
from tests.unit.cli.conftest import Barid
from tests.unit.cli.fake_node import fake_node
from tests.unit.cli.releasing import (
    DESKS,
    EXCHANGE,
    OTHER,
    Node,
    keygen,
    later,
    signing,
)

pytestmark = pytest.mark.usefixtures("_cheap_keystores")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """The node over TLS."""
    folder = tmp_path / "node"
    folder.mkdir()
    with fake_node(folder) as serving:
        yield Node(serving)


@pytest.fixture
def keys(barid: Barid, tmp_path: Path) -> Path:
    """A person's key."""
    return keygen(barid, tmp_path / "amal")


def _another_text(node: Node) -> dict[str, Any]:
    shown = json.dumps(node.bulletin | {"title": {"en": "harmless"}}).encode()
    return node.view(node.draft, document=encode_base64(shown))


def _a_desk_unseen(node: Node) -> dict[str, Any]:
    whole = draft_release(node.outgoing, EXCHANGE, (*DESKS, "ma/main"), utc_now())
    salts = {desk: encode_base64(whole.salts[desk]) for desk in DESKS}
    return node.view(whole, salts=salts)


def _a_desk_as_an_empty_name(node: Node) -> dict[str, Any]:
    salts = {desk: encode_base64(node.draft.salts[desk]) for desk in DESKS[:2]}
    empty = [*node.draft.empty_salts, node.draft.salts[DESKS[2]]]
    return node.view(node.draft, salts=salts, empty_salts=[encode_base64(each) for each in empty])


def _another_name(node: Node) -> dict[str, Any]:
    salts = {desk: encode_base64(salt) for desk, salt in node.draft.salts.items()}
    return node.view(node.draft, salts=salts | {"ma/main": salts.pop("tn/main")})


def _a_name_to_show(name: str) -> Callable[[Node], dict[str, Any]]:
    def shown(node: Node) -> dict[str, Any]:
        salts = dict(node.draft.salts)
        first, *others = node.draft.empty_salts
        hashes = [recipient_hash(salt, desk) for desk, salt in salts.items()]
        hashes += [recipient_hash(first, name if name.isascii() else "")]
        draft = node.changed(recipients=tuple(sorted(hashes)))
        written = {desk: encode_base64(salt) for desk, salt in salts.items()}
        return node.view(
            draft,
            salts=written | {name: encode_base64(first)},
            empty_salts=[encode_base64(each) for each in others],
        )

    return shown


def _release(**members: Any) -> Callable[[Node], dict[str, Any]]:
    return lambda node: node.view(node.changed(**members))


def _bulletin(**members: Any) -> Callable[[Node], dict[str, Any]]:
    """The hashes are right; the bulletin itself says something else."""

    def shown(node: Node) -> dict[str, Any]:
        value = node.bulletin | members
        document = json.dumps(value).encode()
        named = node.draft.release.bulletin.model_copy(update={"sha256": sha256_hex(document)})
        return node.view(node.changed(bulletin=named), document=encode_base64(document))

    return shown


HOSTILE: dict[str, Callable[[Node], Any]] = {
    "shows one bulletin and has another signed": _another_text,
    "has a desk signed that it does not show": _a_desk_unseen,
    "calls a desk an empty name": _a_desk_as_an_empty_name,
    "shows another desk than is signed": _another_name,
    "shows a desk without a name": _a_name_to_show(""),
    "shows a desk with a name of spaces": _a_name_to_show("  "),
    "shows a desk that writes backwards": _a_name_to_show("tn/main\u202e"),
    "leaves a salt out": lambda node: node.view(node.draft, empty_salts=[]),
    "shows no desk at all": lambda node: node.view(node.draft, salts={}),
    "has another bulletin's id signed": lambda node: node.view(
        node.changed(bulletin=node.draft.release.bulletin.model_copy(update={"id": OTHER}))
    ),
    "has another desk's release signed": _release(from_="ly/judicial"),
    "shows a bulletin of another desk": _bulletin(
        originator={"desk": "ly/judicial", "agency": "another", "contact": "none"}
    ),
    "shows a bulletin with another id": _bulletin(id=OTHER),
    "has a withdrawal signed that the bulletin is not": _release(withdraws=OTHER),
    "has it signed for another exchange": _release(exchange="the-real-exchange"),
    "dates it in the future": lambda node: node.view(
        node.changed(released=later(hours=1), expires=later(days=2))
    ),
    "has something signed that has expired": lambda node: node.view(
        node.changed(released=later(days=-2), expires=later(days=-1))
    ),
    "has it signed for ever": lambda node: node.view(node.changed(expires=later(days=3650))),
    "shows no bulletin": _bulletin(title={}),
    "has something else signed than a release": lambda node: node.view(
        node.draft, payload=encode_base64(b'{"v":1}')
    ),
    "adds a member": lambda node: node.view(node.draft, note="all is well"),
    "answers nonsense": lambda _node: b"{",
}
"""What a node in a thief's hands may try: nothing of it is signed."""


@pytest.mark.parametrize("lie", HOSTILE)
def test_a_hostile_node_gets_no_signature(barid: Barid, node: Node, keys: Path, lie: str) -> None:
    """Refused before the question, whatever a person would have typed."""
    node.fake.answer(node.path, HOSTILE[lie](node))
    for typed in ("3\n", "4\n"):
        result = signing(barid, node, keys, typed=typed)
        assert (result.exit_code, node.posted) == (Exit.VERIFICATION, []), result.stdout
