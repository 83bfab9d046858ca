"""New keys for a desk while bulletins flow: made beside the present ones, used once they are in force.

May import `keys` and the node's own rooms; `barid node rekey` makes and asks, the line notices and switches
at each look at the directory log.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from broker.node.desk_requests import make_desk_request
from broker.node.home import (
    DeskKeys,
    Home,
    load_desk,
    next_key_name,
    node_key_name,
    request_key_name,
)
from broker.node.setup import Releasers, check_releasers
from keys.directory import Directory
from keys.keystore import Keystore
from keys.signing import RequestSigningKey, SigningIdentity
from schemas.directory import Desk
from schemas.errors import ConfigurationError, VerificationError

_LOG: Final = logging.getLogger("barid.node")


def request_new_keys(
    home: Home,
    units: Iterable[str],
    directory: Directory | None,
    releasers: Mapping[str, Releasers] | None = None,
) -> Path:
    """Make next keys for some desks, and write the request with which their member declares them.

    All else of a desk stays as the directory in force has it, but for the people who release, where others
    are named. Asked again before the member has signed, it writes the same keys.

    Args:
        home: the node's home; the node may be running.
        units: the desks (`main`).
        directory: in force, as this node knows it.
        releasers: by unit, the people who release from now on.

    Returns:
        The path of `desk-request.json`.

    Raises:
        ConfigurationError: a desk is not one of this node, or not in the directory yet; or the people do
            not fit. Nothing was made then.
    """
    member, people = home.settings.member, releasers or {}
    declared = {} if directory is None else _declared(directory, member)
    chosen = sorted(set(units))
    for unit in chosen:
        if f"{member}/{unit}" not in home.desks:
            raise ConfigurationError(f"{member}/{unit} is no desk of this node")
        if unit not in declared:
            raise ConfigurationError(
                f"{member}/{unit} is not in the directory that this node knows: it has no keys to renew"
            )
    if strangers := sorted(people.keys() - set(chosen)):
        raise ConfigurationError(f"{member}/{strangers[0]} has releasers, and gets no new keys")
    check_releasers(people, home.settings)
    desks, identities = {}, {}
    for unit in chosen:
        keys = _next_keys(home.keystore, f"{member}/{unit}")
        identities[unit] = keys.node
        changed: dict[str, object] = {"node": keys.node.public, "request": keys.request.public}
        if unit in people:
            changed |= {"release": people[unit].keys, "release_threshold": people[unit].threshold}
        desks[unit] = declared[unit].model_copy(update=changed)
    return make_desk_request(home.data, home.exchange, member, desks, identities)


def _declared(directory: Directory, member: str) -> Mapping[str, Desk]:
    file = directory.members.get(member)
    return {} if file is None else file.desks


def _next_keys(keystore: Keystore, desk: str) -> DeskKeys:
    known = load_desk(keystore, desk).next
    if known is not None:
        return known
    keys = DeskKeys(SigningIdentity.generate(), RequestSigningKey.generate())
    node, request = next_key_name(node_key_name(desk)), next_key_name(request_key_name(desk))
    # What a crash left over is overwritten before its name is used again.
    keystore.delete(request)
    keystore.put(request, keys.request.seed())
    # Last: whoever finds it, finds both.
    keystore.put(node, keys.node.seeds())
    return keys


def notice_new_keys(home: Home) -> None:
    """Load the next keys that were made beside the running node."""
    names = set(home.keystore.names())
    for desk, keys in home.desks.items():
        if keys.next is not None or next_key_name(node_key_name(desk)) not in names:
            continue
        try:
            home.desks[desk] = load_desk(home.keystore, desk)
        except (ConfigurationError, VerificationError) as error:
            # The present keys are good as long as the directory names them.
            _LOG.error("the next keys of a desk cannot be read: %s", error, extra={"desk": desk})


def switch_keys(home: Home, directory: Directory | None, now: datetime) -> tuple[str, ...]:
    """Put next keys in place of those that the directory in force names no more, which are destroyed.

    The old secret goes before the new one takes its name, and the next keys go last: after a crash in
    between `load_desk` finds every key, and the next call ends it.

    Args:
        home: the node's home.
        directory: the one in force.
        now: UTC, whole seconds.

    Returns:
        The desks that have new keys.
    """
    switched = []
    for desk, keys in home.desks.items():
        view = None if keys.next is None or directory is None else directory.desk(desk, now)
        if keys.next is None or view is None:
            continue
        named = (view.node_keyid, view.request_keyid)
        exchange = home.exchange
        if named != (keys.next.node.keyid(exchange), keys.next.request.keyid(exchange)):
            continue
        node, request = node_key_name(desk), request_key_name(desk)
        for name, secret in ((node, keys.next.node.seeds()), (request, keys.next.request.seed())):
            home.keystore.delete(name)
            home.keystore.put(name, secret)
        for name in (node, request):
            home.keystore.delete(next_key_name(name))
        home.desks[desk] = keys.next
        switched.append(desk)
        _LOG.info("new keys are in force, and the old ones destroyed", extra={"desk": desk})
    return tuple(switched)
