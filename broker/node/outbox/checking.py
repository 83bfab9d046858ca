"""Checking a bulletin before it is taken in: its form, its recipients, its original, the access rules.

May import `broker.policy`, `keys` and the node's own rooms; `queueing` stores what passed. Nothing is
written here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, select

from broker.node import tables
from broker.node.outbox.deliveries import Step
from broker.node.outbox.drafts import draft_header, outgoing_of
from broker.node.outbox.originals import Original, find_original
from broker.node.outbox.recipients import can_receive, follow, resolve
from broker.node.outbox.state import DeliveryState
from broker.policy.admission import permit
from broker.policy.context import context_of
from broker.policy.rules import Decision
from keys.directory import Directory
from keys.envelope import Outgoing
from keys.history import DirectoryState
from keys.release import verify_release
from schemas.bulletin import Bulletin, parse_bulletin
from schemas.bulletin.agreement import header_fields
from schemas.bulletin.vocabularies import Precedence
from schemas.errors import Problem
from schemas.limits import ENVELOPE_LIFE_SECONDS_MAX
from schemas.statements import Statement

LIFE: Final = timedelta(seconds=ENVELOPE_LIFE_SECONDS_MAX)
"""A bulletin without `expires` lives as long as an envelope may: its recipient may be off for weeks."""

SALT_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Order:
    """What an agency asks for: a bulletin's exact bytes, and where it shall go.

    Args:
        desk: the own desk that sends.
        document: the bulletin, JSON.
        to: desks; none for a withdrawal or a correction, which go where the original went.
        groups: of the council; each stands for the main desks of its members.
        precedence: of the delivery; a withdrawal's is at least that of the original.
        expires: UTC, whole seconds; None for 30 days from now.
        release: the people's statement, where the desk demands one.
        release_salts: by desk, 32 bytes each.
        supersedes: the bulletin of the same desk that this one replaces.
        separately: an envelope for each desk, since they must not learn of each other.
    """

    desk: str
    document: bytes = field(repr=False)
    to: tuple[str, ...]
    groups: tuple[str, ...] = ()
    precedence: Precedence = Precedence.ROUTINE
    expires: datetime | None = None
    release: Statement | None = None
    release_salts: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    supersedes: str | None = None
    separately: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """A bulletin that is well-formed, its recipients, and what the access rules say of each.

    Args:
        bulletin: parsed.
        outgoing: all that its sender chose; its salt is not drawn yet.
        recipients: sorted; none only where what it withdraws was sent to nobody.
        decisions: of the access rules, for each recipient.
        original: what it withdraws or supersedes.
        left_out: desks that got the original and can get nothing more: the step that says why.
        warnings: what a person should look at before sending; nothing is refused for it.
    """

    bulletin: Bulletin
    outgoing: Outgoing = field(repr=False)
    recipients: tuple[str, ...]
    decisions: Mapping[str, Decision]
    original: Original | None = None
    left_out: Mapping[str, Step] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def check(connection: Connection, order: Order, state: DirectoryState, now: datetime) -> Checked:
    """Validate a bulletin and ask the access rules; nothing is stored.

    1. The bulletin is well-formed, and its originator is the sending desk.
    2. (Its attachments are looked at when it is queued: they may be uploaded after this check.)
    3. It lives neither too long nor in the past.
    4. What it withdraws or supersedes was sent by this desk, is no withdrawal, and is not withdrawn.
    5. Its recipients are desks of the directory in force, the sender not among them, at least one; a
       withdrawal or a correction goes to all that were sent the original, and to no others.
    6. The access rules are asked for each.

    Args:
        connection: of the node's database; nothing is written.
        order: what the agency asks for.
        state: the newest verified state of the directory log.
        now: UTC, whole seconds.

    Raises:
        ParseError: the bulletin breaks its schema (JSON path, rule, value).
        Problem: `schema-violation` (1), `bad-parameter` (3, 4, 5),
            `original-unknown`, `original-withdrawal` or `withdrawn` (4), `unknown-recipient` or
            `original-desks` (5); `busy` while the node has not read a directory yet.
    """
    bulletin = parse_bulletin(order.document)
    _check_own(bulletin, order.desk)
    expires = order.expires or now + LIFE
    if not now < expires <= now + LIFE:
        raise Problem("bad-parameter", "expires lies ahead, and at most 30 days")
    directory = directory_of(state)
    original = _original_of(connection, order, bulletin)
    outgoing = outgoing_of(
        order.document,
        _precedence(order, bulletin, original),
        expires,
        bytes(SALT_BYTES),
        order.release,
        order.release_salts,
        order.supersedes,
    )
    if original is None:
        recipients = resolve(order.desk, order.to, order.groups, directory, now)
        decisions = _ask(outgoing, recipients, directory, now)
        checked = Checked(bulletin, outgoing, recipients, decisions)
    else:
        checked = _check_following(order, bulletin, outgoing, original, directory, now)
    return replace(checked, warnings=_warnings(connection, order.desk, checked))


def _check_own(bulletin: Bulletin, desk: str) -> None:
    if bulletin.originator.desk != desk:
        rule = f"is the sending desk, {desk}"
        value = bulletin.originator.desk
        errors = [{"path": "$.originator.desk", "rule": rule, "value": value}]
        raise Problem("schema-violation", f"$.originator.desk {rule}", errors=errors)


def directory_of(state: DirectoryState) -> Directory:
    """The directory in force. Raises Problem `busy` while the node has not read one yet."""
    if state.directory is None:
        raise Problem("busy", "this node has not read the directory yet: is the hub reachable?")
    return state.directory


def _original_of(connection: Connection, order: Order, bulletin: Bulletin) -> Original | None:
    withdraws = header_fields(bulletin).withdraws
    if withdraws is not None and order.supersedes is not None:
        raise Problem("bad-parameter", "supersedes: a withdrawal replaces nothing")
    bulletin_id = withdraws or order.supersedes
    if bulletin_id is None:
        return None
    return find_original(connection, order.desk, bulletin_id)


def _precedence(order: Order, bulletin: Bulletin, original: Original | None) -> Precedence:
    if original is None or header_fields(bulletin).withdraws is None:
        return order.precedence
    # What came as a flash must not be believed for hours after it was withdrawn.
    return min(order.precedence, original.precedence, key=lambda word: word.rank)


def _ask(
    outgoing: Outgoing, recipients: tuple[str, ...], directory: Directory, now: datetime
) -> Mapping[str, Decision]:
    if not recipients:
        return {}
    header = draft_header(outgoing, directory.council.exchange, recipients, now)
    return permit(directory, outgoing.sender, recipients, context_of(header, now))


def _check_following(
    order: Order,
    bulletin: Bulletin,
    outgoing: Outgoing,
    original: Original,
    directory: Directory,
    now: datetime,
) -> Checked:
    """Steps 5 and 6 for a withdrawal or a correction: one desk that left does not stop it."""
    named: tuple[str, ...] = ()
    if order.to or order.groups:
        named = resolve(order.desk, order.to, order.groups, directory, now)
    wanted = follow(original, _wanted(order, outgoing, original, directory, now), named)
    if not wanted and outgoing.withdraws is None:
        raise Problem("original-desks", "nobody was sent the original: send this as a new bulletin")
    known = tuple(desk for desk in wanted if can_receive(desk, directory, now))
    decisions = _ask(outgoing, known, directory, now)
    left_out = {
        desk: Step(DeliveryState.REFUSED, now, "unknown-recipient")
        for desk in wanted
        if desk not in known
    }
    refused = {desk: each for desk, each in decisions.items() if not each.allowed}
    if not named and len(refused) < len(known):
        for desk, decision in refused.items():
            left_out[desk] = Step(DeliveryState.REFUSED, now, "access-denied", decision.policies)
    recipients = tuple(desk for desk in known if desk not in left_out)
    return Checked(
        bulletin,
        outgoing,
        recipients,
        {desk: decisions[desk] for desk in recipients},
        original,
        left_out,
    )


def _warnings(connection: Connection, desk: str, checked: Checked) -> tuple[str, ...]:
    warnings = [
        f"{recipient} was sent the original and can get nothing more: "
        + ", ".join([str(step.reason), *step.policies])
        for recipient, step in checked.left_out.items()
    ]
    reply = checked.bulletin.in_reply_to
    # No refusal: it may have arrived at a node that was here before this one.
    if reply is not None and not _is_known(connection, desk, reply.desk, reply.id):
        warnings.append(f"in_reply_to: {desk} neither sent nor received {reply.id} of {reply.desk}")
    return tuple(warnings)


def _is_known(connection: Connection, desk: str, sender: str, bulletin_id: str) -> bool:
    sent, received = tables.outgoing_bulletin.c, tables.incoming_bulletin.c
    own = select(sent.number).where(sent.desk == sender, sent.bulletin_id == bulletin_id)
    foreign = select(received.number).where(
        received.desk == desk, received.sender == sender, received.bulletin_id == bulletin_id
    )
    query = own if sender == desk else foreign
    return connection.execute(query.limit(1)).first() is not None


def _wanted(
    order: Order, outgoing: Outgoing, original: Original, directory: Directory, now: datetime
) -> frozenset[str]:
    """Every desk that has to hear of it: of a withdrawal, not those that nothing has left for."""
    if outgoing.withdraws is None:
        return original.sent | original.waiting
    waits_for_people = needs_people(order, directory, now)
    if waits_for_people and not original.unreleased:
        # Until people have released the withdrawal, the original goes on leaving.
        return original.sent | original.waiting
    return original.sent


def check_released(
    outgoing: Outgoing, recipients: tuple[str, ...], directory: Directory, now: datetime
) -> None:
    """Check that the people's release covers what is to leave, where the desk demands one.

    Args:
        outgoing: the bulletin with its release and salts.
        recipients: the desks that it is to leave for, at least one.
        directory: in force.
        now: UTC, whole seconds.

    Raises:
        Problem: `not-released` or `release-differs`.
    """
    sender = directory.desk(outgoing.sender, now)
    if sender is None:
        raise Problem("unknown-recipient", f"{outgoing.sender} is not a desk of this directory")
    verify_release(
        outgoing.release,
        draft_header(outgoing, directory.council.exchange, recipients, now),
        outgoing.bulletin_json,
        {desk: salt for desk, salt in outgoing.release_salts.items() if desk in recipients},
        sender.release,
        sender.release_threshold,
    )


def needs_people(order: Order, directory: Directory, now: datetime) -> bool:
    """Whether people of the sending desk have yet to release what it hands in."""
    sender = directory.desk(order.desk, now)
    return order.release is None and sender is not None and sender.release_threshold > 0
