"""A member's own file, changed: desks added or given new keys, keys revoked.

May import `schemas` and the signing half of `keys`; pure. `barid member` proposes what is made here, and the
member's people sign it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from keys.signing import identity_keyid, request_keyid
from schemas.bulletin.vocabularies import Classification
from schemas.directory import Council, Desk, MemberFile, Names
from schemas.errors import ConfigurationError, ParseError
from schemas.governance import DeskRequest
from schemas.limits import TRUST_FILE_BYTES_MAX
from schemas.loader import dump_json, parse


def first_file(
    requests: Sequence[DeskRequest], classification_names: Mapping[Classification, Names]
) -> MemberFile:
    """The first file of a member: the desks that its nodes asked for.

    Args:
        requests: one of each node, all of one member.
        classification_names: what the member calls the levels.

    Raises:
        ConfigurationError: there is none, they are of several members, or a desk is asked for twice.
    """
    if len({(each.exchange, each.member) for each in requests}) != 1:
        raise ConfigurationError("the desk requests are of several members, or there is none")
    desks: dict[str, Desk] = {}
    for each in requests:
        if twice := desks.keys() & each.desks.keys():
            raise ConfigurationError(f"{each.member}/{min(twice)} is asked for by two nodes")
        desks |= each.desks
    empty = MemberFile(
        v=1,
        exchange=requests[0].exchange,
        member=requests[0].member,
        desks={},
        classification_names=dict(classification_names),
        revoked=(),
    )
    return _changed(empty, desks=desks)


def with_desks(file: MemberFile, request: DeskRequest, council: Council) -> MemberFile:
    """Add desks, or give them the keys that their nodes made anew.

    Raises:
        ConfigurationError: the request is of another member, or the council grants a desk nothing; or a
            key in it was revoked, or is another desk's.
    """
    if (request.exchange, request.member) != (file.exchange, file.member):
        raise ConfigurationError(
            f"the request is of {request.member} in {request.exchange}, not of {file.member}"
        )
    granted = council.members[file.member].desks
    for unit, desk in request.desks.items():
        name = f"{file.member}/{unit}"
        if unit not in granted:
            raise ConfigurationError(
                f"the council grants {name} nothing: have the governors add it to council.json first"
                " (`barid trust propose`)"
            )
        if revoked := set(keyids_of(file.exchange, desk)) & set(file.revoked):
            raise ConfigurationError(
                f"the key {min(revoked)} of {name} was revoked: have its node make others"
            )
    return _changed(file, desks={**file.desks, **request.desks})


def revoked(
    file: MemberFile, units: Collection[str] = (), keyids: Collection[str] = ()
) -> MemberFile:
    """Revoke the keys of whole desks, node and request key, and single keys.

    Sealing keys lapse with the identity that announced them; the people who release keep theirs.

    Args:
        units: desks whose machine is lost (`customs`).
        keyids: of keys of this member: one person's release key, a sealing key.

    Raises:
        ConfigurationError: no such desk, or nothing would be revoked.
    """
    found = set(keyids)
    for unit in units:
        if unit not in file.desks:
            known = ", ".join(sorted(file.desks)) or "none"
            raise ConfigurationError(
                f"{file.member}/{unit} is no desk of its file, which has: {known}"
            )
        desk = file.desks[unit]
        found.add(request_keyid(file.exchange, desk.request))
        if desk.node is not None:
            found.add(identity_keyid(file.exchange, desk.node))
    if not found - set(file.revoked):
        raise ConfigurationError("these keys are revoked already, or none is named")
    return _changed(file, revoked=tuple(sorted(found | set(file.revoked))))


def keyids_of(exchange: str, desk: Desk) -> tuple[str, ...]:
    """The keyids of a desk's node, request and release keys."""
    identities = (*desk.release, *((desk.node,) if desk.node else ()))
    return (
        request_keyid(exchange, desk.request),
        *(identity_keyid(exchange, identity) for identity in identities),
    )


def _changed(file: MemberFile, **changes: object) -> MemberFile:
    """A changed file that was checked again: no raw key may occur twice in it."""
    try:
        return parse(MemberFile, dump_json(file.model_copy(update=changes)), TRUST_FILE_BYTES_MAX)
    except ParseError as error:
        raise ConfigurationError(
            f"the file of {file.member} would not be right: {error}"
        ) from error
