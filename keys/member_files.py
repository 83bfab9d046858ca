"""A member's own file, changed: desks added or given new keys, keys revoked, anything else edited.

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
    """Add desks, or give those that are there the keys that their nodes made anew.

    A desk that is there keeps its names, profile and deputy; and its people who release, unless the
    request names others: a new machine does not do away with four eyes.

    Raises:
        ConfigurationError: the request is of another member, or the council grants a desk nothing; or a
            key in it was revoked, or is another desk's.
    """
    if (request.exchange, request.member) != (file.exchange, file.member):
        raise ConfigurationError(
            f"the request is of {request.member} in {request.exchange}, not of {file.member}"
        )
    _check_granted(file.member, request.desks, council)
    desks = {unit: _declared(file, unit, desk) for unit, desk in request.desks.items()}
    return _changed(file, desks={**file.desks, **desks})


def _declared(file: MemberFile, unit: str, asked: Desk) -> Desk:
    present = file.desks.get(unit)
    # People of the desk who were revoked before only count no more, as the file says already.
    known = set() if present is None else set(_release_keyids(file.exchange, present))
    if revoked := set(keyids_of(file.exchange, asked)) & set(file.revoked) - known:
        raise ConfigurationError(
            f"the key {min(revoked)} of {file.member}/{unit} was revoked: have its node make others"
        )
    if present is None:
        return asked
    taken: dict[str, object] = {
        "node": asked.node,
        "request": asked.request,
        "bulletin_versions": asked.bulletin_versions,
    }
    if asked.release:
        taken |= {"release": asked.release, "release_threshold": asked.release_threshold}
    return present.model_copy(update=taken)


def edited(file: MemberFile, draft: MemberFile, council: Council) -> MemberFile:
    """Take a file that people edited by hand: names, profiles, deputies, releasers, a desk given up.

    Args:
        file: the one in force.
        draft: what it should be.
        council: grants the desks.

    Raises:
        ConfigurationError: it is another member's, takes a revocation back, has a desk to which the council
            grants nothing, or changes nothing.
    """
    if (draft.exchange, draft.member) != (file.exchange, file.member):
        raise ConfigurationError(
            f"the draft is of {draft.member} in {draft.exchange}, not of {file.member}"
        )
    _check_granted(file.member, draft.desks, council)
    if missing := set(file.revoked) - set(draft.revoked):
        raise ConfigurationError(
            f"the draft takes the revocation of {min(missing)} back: what is revoked stays so"
        )
    if draft == file:
        raise ConfigurationError("the draft is what is in force already: edit it first")
    return draft


def revoked(
    file: MemberFile, units: Collection[str] = (), keyids: Collection[str] = ()
) -> MemberFile:
    """Revoke the keys of whole desks, node and request key, and single keys.

    Sealing keys lapse with the identity that announced them; the people who release keep theirs.

    Args:
        units: desks whose machine is lost (`customs`).
        keyids: of keys in this file: one person's release key.

    Raises:
        ConfigurationError: no such desk or key, or nothing would be revoked.
    """
    exchange = file.exchange
    known = {keyid for desk in file.desks.values() for keyid in keyids_of(exchange, desk)}
    # A key that is mistyped would count on, and nobody would know.
    if strangers := set(keyids) - known - set(file.revoked):
        raise ConfigurationError(
            f"no desk of {file.member} has the key {min(strangers)}: `barid member show` lists them"
        )
    found = set(keyids)
    for unit in units:
        if unit not in file.desks:
            desks = ", ".join(sorted(file.desks)) or "none"
            raise ConfigurationError(
                f"{file.member}/{unit} is no desk of its file, which has: {desks}"
            )
        desk = file.desks[unit]
        found |= {*keyids_of(exchange, desk)} - {*_release_keyids(exchange, desk)}
    if not found - set(file.revoked):
        raise ConfigurationError("these keys are revoked already, or none is named")
    return _changed(file, revoked=tuple(sorted(found | set(file.revoked))))


def mute_desks(file: MemberFile) -> tuple[str, ...]:
    """The units of desks that send nothing, since too few of their people are left to release it."""
    mute = []
    for unit, desk in sorted(file.desks.items()):
        left = set(_release_keyids(file.exchange, desk)) - set(file.revoked)
        if len(left) < desk.release_threshold:
            mute.append(unit)
    return tuple(mute)


def _check_granted(member: str, desks: Mapping[str, Desk], council: Council) -> None:
    seat = council.members.get(member)
    granted = seat.desks if seat else {}
    for unit in desks:
        if unit not in granted:
            raise ConfigurationError(
                f"the council grants {member}/{unit} nothing: have the governors add it to council.json"
                " first (`barid trust draft`, then `barid trust propose`)"
            )


def _release_keyids(exchange: str, desk: Desk) -> tuple[str, ...]:
    return tuple(identity_keyid(exchange, identity) for identity in desk.release)


def keyids_of(exchange: str, desk: Desk) -> tuple[str, ...]:
    """The keyids of a desk's node, request and release keys."""
    return (
        request_keyid(exchange, desk.request),
        *((identity_keyid(exchange, desk.node),) if desk.node else ()),
        *_release_keyids(exchange, desk),
    )


def _changed(file: MemberFile, **changes: object) -> MemberFile:
    """A changed file that was checked again: no raw key may occur twice in it."""
    try:
        return parse(MemberFile, dump_json(file.model_copy(update=changes)), TRUST_FILE_BYTES_MAX)
    except ParseError as error:
        raise ConfigurationError(
            f"the file of {file.member} would not be right: {error}"
        ) from error
