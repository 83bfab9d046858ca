"""What a member's people do with its file while its node runs: they sign, and have it published.

The member's key of a `LiveNode` was made by it, and is taken from it here, as people hold it elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

from broker.node.home import MEMBER_KEY_NAME, Home, look_home
from broker.node.rekeying import request_new_keys
from broker.node.setup import Releasers
from keys.desk_requests import read_desk_request
from keys.directory import Directory
from keys.repository import TrustSigner, sign_member
from schemas.directory import Desk, MemberFile
from tests.exchange.live import EXCHANGE, PASSPHRASE, LiveHub, now
from tests.exchange.nodes import LiveNode


def in_force(hub: LiveHub) -> Directory:
    """The directory that the hub has in force."""
    directory = hub.ledger.state.directory
    if directory is None:
        raise RuntimeError("no directory is in force")
    return directory


@contextmanager
def beside(node: LiveNode) -> Iterator[Home]:
    """The home of a node that may be running."""
    home = look_home(node.data, PASSPHRASE)
    try:
        yield home
    finally:
        home.close()


def publish_file(
    hub: LiveHub,
    node: LiveNode,
    desks: Mapping[str, Desk] | None = None,
    revoked: tuple[str, ...] = (),
) -> MemberFile:
    """The member signs a further version with some desks changed, and keys revoked; the hub publishes it."""
    part = in_force(hub).member_parts[node.member]
    file = part.file.model_copy(
        update={
            "desks": {**part.file.desks, **(desks or {})},
            "revoked": tuple(sorted({*part.file.revoked, *revoked})),
        }
    )
    with beside(node) as home:
        signer = TrustSigner.from_seed(home.keystore.get(MEMBER_KEY_NAME))
    expires = now() + timedelta(days=365)
    hub.publish(sign_member(part.metadata.version + 1, file, [signer], expires))
    return file


def rekey(
    hub: LiveHub, node: LiveNode, *units: str, releasers: Mapping[str, Releasers] | None = None
) -> Mapping[str, Desk]:
    """Make next keys beside the running node; gives what its member is asked to declare."""
    with beside(node) as home:
        request = request_new_keys(home, units, in_force(hub), releasers)
    return read_desk_request(request.read_bytes(), EXCHANGE).desks


def has_switched(node: LiveNode, *units: str) -> bool:
    """Whether a node has taken its next keys, and destroyed those before."""
    with beside(node) as home:
        names = set(home.keystore.names())
    return not any(
        f"desk.{unit}.{key}.next" in names for unit in units for key in ("node", "request")
    )
