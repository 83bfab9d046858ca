"""What every test of the access rules needs: the shipped rules, and a header to ask about."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from broker.policy.rules import AccessRules, default_texts
from schemas.envelope import BodyRef, BulletinRef, DirectoryRef, Header, Recipient
from tests.unit.policy.examples import ORDINARY

_HASH = "0" * 64
_UUID = "01932a50-0000-7000-8000-000000000000"


@pytest.fixture
def shipped() -> AccessRules:
    """The shipped rules, loaded, with nothing remembered."""
    return AccessRules.load(*default_texts())


@pytest.fixture
def load() -> Callable[[str], AccessRules]:
    """Load other rules under the shipped schema."""
    return lambda policy_text: AccessRules.load(policy_text, default_texts()[1])


@pytest.fixture
def header_to() -> Callable[..., Header]:
    """Make the header of an ordinary bulletin of tn/main to some desks."""

    def make(*desks: str) -> Header:
        return Header(
            v=1,
            exchange="test-exchange",
            id=_UUID,
            bulletin=BulletinRef(id=_UUID, content=_HASH),
            status=ORDINARY.status,
            from_="tn/main",
            created=ORDINARY.at,
            expires=ORDINARY.at,
            precedence=ORDINARY.precedence,
            kind=ORDINARY.kind,
            topics=ORDINARY.topics,
            purpose=ORDINARY.purpose,
            personal_data=ORDINARY.personal_data,
            marking=ORDINARY.marking,
            recipients=tuple(Recipient(desk=d, keyid=_HASH, slot_sha256=_HASH) for d in desks),
            body=BodyRef(sha256=_HASH, size=1, commitment=_HASH),
            attachments=(),
            directory=DirectoryRef(origin="log", index=0, leaf=_HASH),
        )

    return make
