"""A node on a fake that wants something released, and what a person types.

The tests of `barid release` share it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from typer.testing import Result

from broker.cli.drafts import new_bulletin
from broker.cli.options import utc_now
from broker.node.outbox.drafts import outgoing_of
from keys.release import ReleaseDraft, draft_release
from schemas.bulletin.vocabularies import Kind, Precedence
from schemas.loader import dump_json, parse
from schemas.scalars import encode_base64
from schemas.statements import Statement
from tests.unit.cli.conftest import Barid
from tests.unit.cli.fake_node import FakeNode

EXCHANGE = "tripoli-test"
DESK = "ly/main"
DESKS = ("dz/main", "ne/main", "tn/main")
FILE = b"a photograph of a lorry"

OTHER = "019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0d"

SIGNED = {
    "id": "019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b",
    "signers": ["0" * 64],
    "needed": 2,
    "recipients": [{"desk": "tn/main", "state": "unreleased"}],
}


class Node:
    """A node that wants a bulletin for three desks released, and lies where a test wants it to."""

    def __init__(self, fake: FakeNode) -> None:
        self.fake = fake
        self.document = new_bulletin(
            Kind.THREAT_BULLETIN,
            DESK,
            "en",
            utc_now(),
            attachments=[
                {
                    "id": "019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0c",
                    "name": "lorry.jpg",
                    "media_type": "image/jpeg",
                    "size": len(FILE),
                    "sha256": hashlib.sha256(FILE).hexdigest(),
                }
            ],
        )
        self.bulletin = json.loads(self.document)
        self.outgoing = outgoing_of(
            self.document, Precedence.PRIORITY, utc_now() + timedelta(days=7), bytes(32)
        )
        self.draft = draft_release(self.outgoing, EXCHANGE, DESKS, utc_now())
        self.serve(self.draft)

    @property
    def path(self) -> str:
        """Where the release is."""
        return f"/v1/desks/{DESK}/releases/{self.bulletin['id']}"

    def view(self, draft: ReleaseDraft, **changed: Any) -> dict[str, Any]:
        """What the node shows of a draft."""
        return {
            "payload": encode_base64(dump_json(draft.release)),
            "document": encode_base64(self.document),
            "salts": {desk: encode_base64(salt) for desk, salt in draft.salts.items()},
            "empty_salts": [encode_base64(salt) for salt in draft.empty_salts],
            "signers": [],
            "needed": 2,
        } | changed

    def serve(self, draft: ReleaseDraft, **changed: Any) -> None:
        """Show it from now on."""
        self.fake.answer(self.path, self.view(draft, **changed))

    def changed(self, **members: Any) -> ReleaseDraft:
        """The draft with another release."""
        return replace(self.draft, release=self.draft.release.model_copy(update=members))

    @property
    def posted(self) -> list[Statement]:
        """What was signed and handed in."""
        return [
            parse(Statement, each.body, 10**6) for each in self.fake.asked if each.method == "POST"
        ]


def keygen(barid: Barid, out: Path, exchange: str = EXCHANGE) -> Path:
    """Make a key as a person does."""
    result = barid("release", "keygen", "--out", out, "--exchange", exchange, "--name", out.name)
    assert result.exit_code == 0, result.stderr
    return out


def show(barid: Barid, node: Node, *more: object) -> Result:
    """`release show`."""
    return barid(
        *("release", "show", node.bulletin["id"], "--desk", DESK, *node.fake.options), *more
    )


def sign(barid: Barid, node: Node, keys: Path, *more: object, typed: str = "3\n") -> Result:
    """`release sign`, a person typing the number of desks."""
    return barid(
        *("release", "sign", node.bulletin["id"], "--desk", DESK, "--keys", keys),
        *node.fake.options,
        *more,
        text=typed,
    )


def signing(barid: Barid, node: Node, keys: Path, *more: object, typed: str = "3\n") -> Result:
    """Sign at a node that takes it: it answers GET with the draft, POST with where it stands."""
    node.fake.posts[node.path] = (200, "application/json", json.dumps(SIGNED).encode())
    return sign(barid, node, keys, *more, typed=typed)


def later(**duration: int) -> datetime:
    """Some time from now."""
    return utc_now() + timedelta(**duration)
