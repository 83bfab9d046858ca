"""Asking the member for its signature: the file in which a node asks for desks whose keys it made.

May import `keys.desk_requests`, `broker.settings` and `schemas`; enrolling and `rekeying` write one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from broker.settings import write_whole
from keys.desk_requests import DESK_REQUEST_FILE, sign_desk_request
from keys.signing import SigningIdentity
from schemas.directory import Desk
from schemas.governance import DeskRequest


def make_desk_request(
    folder: Path,
    exchange: str,
    member: str,
    desks: Mapping[str, Desk],
    identities: Mapping[str, SigningIdentity],
) -> Path:
    """Write `desk-request.json`, which the member's people get in person, in place of an earlier one.

    Args:
        folder: where it goes: the node's data directory.
        exchange: the exchange's name.
        member: whose desks.
        desks: by unit (`main`), with the public keys that are asked for.
        identities: by unit, the private halves of their node identities.

    Raises:
        ConfigurationError: as `sign_desk_request`; nothing was written then.
    """
    request = DeskRequest(v=1, exchange=exchange, member=member, desks=dict(desks))
    data = sign_desk_request(request, identities)
    path = folder / DESK_REQUEST_FILE
    write_whole(path, data)
    return path
