"""The ceremony refuses members whose keys would not count, or would count for anybody."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from keys.ceremony import member_request, read_member_request
from keys.signing import SigningIdentity
from schemas.errors import ConfigurationError
from tests.exchange.trust_world import EXCHANGE, TrustWorld


@pytest.fixture(scope="module")
def world() -> TrustWorld:
    """An exchange to take keys and files from; the tests here do not change it."""
    return TrustWorld.fresh()


def _request(world: TrustWorld) -> bytes:
    return member_request(
        EXCHANGE, world.member_files["ly"], world.member_keys["ly"], world.expires
    )


def test_an_expired_file_does_not_join(world: TrustWorld) -> None:
    """Governors are told, rather than sign a member none of whose keys would count."""
    request = read_member_request(_request(world))
    request.check_in_time(world.expires - timedelta(seconds=1))
    with pytest.raises(ConfigurationError, match="make its request again"):
        request.check_in_time(world.expires)


WEAK = [bytes(32), b"\x01" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f", b"\xff" * 32]
"""Of order 4, 1 and 2, and no point at all."""


@pytest.mark.parametrize("weak", WEAK, ids=lambda key: key[:1].hex())
@pytest.mark.parametrize("whose", ["request", "node", "release"])
def test_a_weak_desk_key_does_not_join(world: TrustWorld, whose: str, weak: bytes) -> None:
    """A key under which anybody could sign is refused, and its desk named."""
    file = world.member_files["ly"]
    desk = file.desks["main"]
    identity = SigningIdentity.generate().public.model_copy(update={"ed25519": weak})
    changes: dict[str, Any] = {
        "request": {"request": weak},
        "node": {"node": identity},
        "release": {"release": (identity,)},
    }
    changed = desk.model_copy(update=changes[whose])
    desks = {"desks": {**file.desks, "main": changed}}
    data = member_request(
        EXCHANGE, file.model_copy(update=desks), world.member_keys["ly"], world.expires
    )
    with pytest.raises(ConfigurationError, match=f"{whose} key of ly/main is a weak"):
        read_member_request(data)


def test_a_weak_member_key_does_not_join(world: TrustWorld) -> None:
    """Nor does a member whose own key is one: it is refused before its signature is looked at."""
    key = world.member_keys["ly"].public_key.to_dict()
    key["keyval"] = {"public": (b"\x01" + bytes(31)).hex()}
    signers = {"keys": [key], "threshold": 1}
    data = _request(world)
    with pytest.raises(ConfigurationError, match="the trust key is a weak"):
        read_member_request(json.dumps(json.loads(data) | {"signers": signers}).encode())
