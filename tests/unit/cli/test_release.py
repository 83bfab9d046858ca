"""`barid release`: what a person is shown, and what is signed of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from broker.cli.drafts import new_bulletin
from broker.cli.exits import Exit
from broker.cli.options import utc_now
from broker.node.outbox.drafts import outgoing_of
from keys.derivation import sha256_hex
from keys.dsse import verify_statement
from keys.keystore import Keystore
from keys.release import draft_release
from keys.release_keys import load_release_key
from keys.signing import VerifyingIdentity
from schemas.bulletin.vocabularies import Kind, Precedence
from schemas.errors import Problem
from schemas.loader import dump_json
from schemas.statements import PayloadType
from tests.unit.cli.conftest import Barid
from tests.unit.cli.fake_node import TOKEN, fake_node
from tests.unit.cli.releasing import (
    DESK,
    DESKS,
    EXCHANGE,
    FILE,
    OTHER,
    Node,
    keygen,
    later,
    show,
    sign,
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


def test_all_of_it_is_shown(barid: Barid, node: Node) -> None:
    """Text and marking, every desk, precedence, end, attachments, hashes, and who has signed."""
    node.serve(node.draft, signers=["a" * 64])
    result = show(barid, node)
    assert result.exit_code == 0, result.stderr
    release = node.draft.release
    for said in (
        node.bulletin["title"]["en"],
        "TLP:GREEN // UNCLASSIFIED",
        "THIS IS NOT REAL",
        "to 3 desks, and no other:",
        *(f"  {number}  {desk}" for number, desk in enumerate(DESKS, start=1)),
        "precedence  priority",
        f"bulletin    SHA-256 {sha256_hex(node.document)}",
        f"release     SHA-256 {sha256_hex(dump_json(release))}",
        f"SHA-256 {hashlib.sha256(FILE).hexdigest()}, lorry.jpg",
        "1 of 2 people have signed",
        "a" * 64,
    ):
        assert said in result.stdout, said


def test_a_withdrawal_and_a_correction_are_named(barid: Barid, node: Node) -> None:
    """What it does to another bulletin is part of what is signed."""
    other = "019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0d"
    node.serve(node.changed(supersedes=other))
    assert f"REPLACES    {other}" in show(barid, node).stdout
    node.document = new_bulletin(
        Kind.WITHDRAWAL,
        DESK,
        "en",
        utc_now(),
        withdraws=other,
    )
    node.bulletin = json.loads(node.document)
    outgoing = outgoing_of(
        node.document, Precedence.FLASH, utc_now() + timedelta(days=1), bytes(32)
    )
    node.serve(draft_release(outgoing, EXCHANGE, DESKS, utc_now()))
    assert f"WITHDRAWS   {other}" in show(barid, node).stdout


def test_a_person_signs_what_was_shown(barid: Barid, node: Node, keys: Path) -> None:
    """Exactly the bytes of the release, with the own key, once the number of desks was typed."""
    payload = dump_json(node.draft.release)
    result = signing(barid, node, keys)
    assert result.exit_code == 0, result.stderr
    [statement] = node.posted
    key = load_release_key(Keystore.open(keys / "keystore", b"a passphrase of tests"))
    identity = VerifyingIdentity.from_key(key.identity.public)
    verify_statement(statement, PayloadType.RELEASE, {key.keyid: identity})
    assert statement.payload == payload
    assert "to 3 desks, and no other:" in result.stdout
    assert "1 of 2 people have signed" in result.stdout
    assert {each.token for each in node.fake.asked} == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize("typed", ["2\n", "4\n", "yes\n", "dz/main\n"])
def test_a_person_who_did_not_look_signs_nothing(
    barid: Barid, node: Node, keys: Path, typed: str
) -> None:
    """Only the number of desks that are listed is an answer."""
    result = signing(barid, node, keys, typed=typed)
    assert (result.exit_code, node.posted) == (Exit.REFUSED, [])
    assert "nothing was signed" in result.stderr


def test_without_a_question_the_one_release_that_was_shown(
    barid: Barid, node: Node, keys: Path
) -> None:
    """Its SHA-256 stands for all of it: a node that shows another later gets nothing."""
    expected = sha256_hex(dump_json(node.draft.release))
    node.serve(draft_release(node.outgoing, EXCHANGE, (*DESKS, "ma/main"), utc_now()))
    other = signing(barid, node, keys, "--expect-sha256", expected, typed="")
    assert (other.exit_code, node.posted) == (Exit.VERIFICATION, [])
    node.serve(node.draft)
    result = signing(barid, node, keys, "--expect-sha256", expected, typed="")
    assert (result.exit_code, len(node.posted)) == (0, 1)


def test_what_differs_openly_is_shown(barid: Barid, node: Node, keys: Path) -> None:
    """Another precedence, end or desk that hashes right is on the screen: it is the person who decides."""
    whole = draft_release(node.outgoing, EXCHANGE, (*DESKS, "ma/main"), utc_now())
    node.serve(
        replace(
            whole,
            release=whole.release.model_copy(
                update={"precedence": Precedence.FLASH, "expires": later(days=29)}
            ),
        )
    )
    result = signing(barid, node, keys)
    assert (result.exit_code, node.posted) == (Exit.REFUSED, [])
    for said in ("precedence  flash", "ma/main", "to 4 desks, and no other:"):
        assert said in result.stdout


def test_clocks_may_differ_a_little(barid: Barid, node: Node, keys: Path) -> None:
    """Two machines are never of one mind to the second."""
    node.serve(node.changed(released=later(minutes=4)))
    assert signing(barid, node, keys).exit_code == 0


def test_attachments_are_what_is_signed(barid: Barid, node: Node, tmp_path: Path) -> None:
    """Downloaded and compared; another file is refused, and nothing of it is kept."""
    [named] = node.bulletin["attachments"]
    path = f"{node.path}/attachments/{named['id']}"
    folder = tmp_path / "files"
    node.fake.answer(path, b"x" * len(FILE))
    result = show(barid, node, "--attachments", folder)
    assert (result.exit_code, list(folder.iterdir())) == (Exit.VERIFICATION, [])
    node.fake.answer(path, FILE)
    assert show(barid, node, "--attachments", folder).exit_code == 0
    assert (folder / "01-lorry.jpg").read_bytes() == FILE


def test_what_waits_is_listed(barid: Barid, node: Node) -> None:
    """As a table and as JSON; an empty list says so."""
    path = f"/v1/desks/{DESK}/releases"
    listed = {
        "id": OTHER,
        "kind": "threat_bulletin",
        "status": "test",
        "title": {"en": "Weapons"},
        "precedence": "flash",
        "queued": "2026-11-24T22:00:00Z",
        "expires": "2026-12-24T22:00:00Z",
        "recipients": 3,
        "signed": 1,
        "needed": 2,
    }
    node.fake.answer(path, {"releases": [listed]})
    command = ("release", "list", "--desk", DESK, *node.fake.options)
    assert "1 of 2" in barid(*command).stdout
    assert json.loads(barid(*command, "--json").stdout) == {"releases": [listed]}
    node.fake.answer(path, {"releases": []})
    assert "Nothing waits" in barid(*command).stderr


def test_a_refusal_of_the_node_is_explained(barid: Barid, node: Node, keys: Path) -> None:
    """As what somebody released or withdrew meanwhile."""
    node.fake.refuse(node.path, Problem("withdrawn"))
    result = sign(barid, node, keys)
    assert (result.exit_code, "(withdrawn)" in result.stderr) == (Exit.REFUSED, True)


def test_a_folder_without_a_key(barid: Barid, node: Node, tmp_path: Path) -> None:
    """A keystore of something else, as a node's, releases nothing."""
    folder = tmp_path / "node-data"
    folder.mkdir()
    Keystore.create(folder / "keystore", b"a passphrase of tests").put("database", bytes(32))
    result = signing(barid, node, folder)
    assert (result.exit_code, node.fake.asked) == (Exit.CONFIGURATION, [])
    assert "release keygen" in result.stderr


def test_a_key_belongs_to_its_exchange(barid: Barid, node: Node, tmp_path: Path) -> None:
    """The name is sealed with the seeds: a renamed file opens nothing."""
    keys = keygen(barid, tmp_path / "omar", "another-exchange")
    assert signing(barid, node, keys).exit_code == Exit.VERIFICATION
    [file] = (keys / "keystore").glob("release.*.key")
    file.rename(file.with_name(f"release.{EXCHANGE}.key"))
    assert (signing(barid, node, keys).exit_code, node.posted) == (Exit.VERIFICATION, [])
