"""Admission: may this envelope be relayed under this directory, at this moment?

May import `keys`, `schemas` and its own room. One pure question for the hub before it relays, the recipient
before it opens, and the auditor years later; a sender asks `permit` before it seals.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from broker.policy.context import Party, SendContext, party_of
from broker.policy.rules import AccessRules, Decision, decide_all
from keys.directory import Directory
from keys.dsse import verify_statement
from keys.history import DirectoryState
from keys.signing import VerifyingIdentity
from schemas.envelope import Header
from schemas.errors import ConfigurationError, ParseError, Problem, VerificationError
from schemas.limits import CREATED_SKEW_SECONDS_MAX, ENVELOPE_LIFE_SECONDS_MAX
from schemas.scalars import format_time, member_of
from schemas.statements import PayloadType, Statement

_SKEW: Final = timedelta(seconds=CREATED_SKEW_SECONDS_MAX)
_LIFE: Final = timedelta(seconds=ENVELOPE_LIFE_SECONDS_MAX)
_RULES_KEPT_MAX: Final = 16


@lru_cache(maxsize=_RULES_KEPT_MAX)
def _rules(policy_text: str, schema_text: str) -> AccessRules:
    return AccessRules.load(policy_text, schema_text)


def rules_of(directory: Directory) -> AccessRules:
    """The access rules of a directory, parsed once. Raises ConfigurationError if they do not load."""
    return _rules(directory.policy_text, directory.schema_text)


def admit(
    statement: Statement, header: Header, state: DirectoryState, at: datetime
) -> dict[str, tuple[str, ...]]:
    """Judge an envelope by the directory in force.

    1. The directory that the header names is in force, or was a moment ago with all that matters equal.
    2. The desk's node identity signed the header. What follows may be held against that desk.
    3. It belongs to this exchange.
    4. It is neither too old, nor from the future, nor meant to live too long.
    5. Each recipient is a desk, and its slot is sealed to its highest usable key.
    6. The access rules permit it for every recipient.

    Args:
        statement: the envelope's signed part; `header` is its payload, parsed.
        state: after the directory log's `directory_size` of the entry; the newest, for the hub.
        at: the entry's; now, for the hub. UTC, whole seconds.

    Returns:
        By desk, the sorted ids of the policies that permit it.

    Raises:
        Problem: `stale-directory` (1), `statement-signature` (2), `wrong-exchange` (3), `created-skew`
            or `lifetime` (4), `unknown-recipient` or `stale-key` (5), `access-denied`, or
            `directory-invalid` where the rules do not load (6).
    """
    directory = _directory(state, header, at)
    _check_signature(statement, header, directory, at)
    return _judge(header, state, directory, at)


def admit_by_directory(
    statement: Statement, header: Header, directory: Directory, at: datetime
) -> dict[str, tuple[str, ...]]:
    """Judge an envelope by one directory: all of `admit` but what only the directory log can show.

    That is, whether the directory was in force, and which sealing key of a recipient was the highest.

    Raises:
        Problem: as `admit`.
    """
    _check_signature(statement, header, directory, at)
    _check_exchange(header, directory)
    _check_times(header, at)
    for desk in header.desks:
        if directory.desk(desk, at) is None:
            raise Problem("unknown-recipient", f"{desk} is not a desk of this directory")
    return _ask(header, directory, at)


def admit_again(header: Header, state: DirectoryState, at: datetime) -> dict[str, tuple[str, ...]]:
    """Judge at another moment what `admit` has judged by the same state: all but the signature itself.

    An entry is judged for ever by its own `at`; the hub knows that moment only when it logs.

    Raises:
        Problem: as `admit`.
    """
    directory = _directory(state, header, at)
    _identity(header, directory, at)
    return _judge(header, state, directory, at)


def _judge(
    header: Header, state: DirectoryState, directory: Directory, at: datetime
) -> dict[str, tuple[str, ...]]:
    _check_exchange(header, directory)
    _check_times(header, at)
    _check_recipients(header, state, directory, at)
    return _ask(header, directory, at)


def _directory(state: DirectoryState, header: Header, at: datetime) -> Directory:
    members = {member_of(desk) for desk in (header.from_, *header.desks)}
    directory, in_force = state.directory, state.in_force
    if directory is None or in_force is None:
        raise Problem("stale-directory", "no directory is in force")
    if not state.acceptable(header.directory, at, members):
        shown = in_force.model_dump(mode="json")
        raise Problem("stale-directory", f"entry {in_force.index} is in force", in_force=shown)
    return directory


def _identity(header: Header, directory: Directory, at: datetime) -> VerifyingIdentity:
    sender = directory.desk(header.from_, at)
    if sender is None or sender.node is None:
        raise Problem("statement-signature", f"{header.from_} has no node identity in force")
    return sender.node


def _check_signature(
    statement: Statement, header: Header, directory: Directory, at: datetime
) -> None:
    identity = _identity(header, directory, at)
    known = {identity.keyid(directory.council.exchange): identity}
    try:
        verify_statement(statement, PayloadType.ENVELOPE, known)
    except (VerificationError, ParseError) as error:
        raise Problem("statement-signature", str(error)) from error


def _check_exchange(header: Header, directory: Directory) -> None:
    if header.exchange != directory.council.exchange:
        raise Problem("wrong-exchange", f"the header says {header.exchange}")


def _check_times(header: Header, at: datetime) -> None:
    if abs(at - header.created) > _SKEW:
        created = format_time(header.created)
        raise Problem("created-skew", f"created {created}, now {format_time(at)}: over 24 hours")
    if header.expires <= at:
        expires = format_time(header.expires)
        raise Problem("lifetime", f"expires {expires}, which is past: now {format_time(at)}")
    if header.expires - header.created > _LIFE:
        latest = format_time(header.created + _LIFE)
        raise Problem(
            "lifetime",
            f"expires {format_time(header.expires)}, more than {_LIFE.days} days after created: "
            f"{latest} at the latest",
        )


def _check_recipients(
    header: Header, state: DirectoryState, directory: Directory, at: datetime
) -> None:
    for recipient in header.recipients:
        if directory.desk(recipient.desk, at) is None:
            raise Problem("unknown-recipient", f"{recipient.desk} is not a desk of this directory")
        key = state.sealing_key(recipient.desk, at)
        if key is None or key.keyid != recipient.keyid:
            raise Problem("stale-key", f"{recipient.desk} has another key", desk=recipient.desk)


def _ask(header: Header, directory: Directory, at: datetime) -> dict[str, tuple[str, ...]]:
    def party(desk: str) -> Party | None:
        return party_of(directory.council, desk, at)

    try:
        rules = rules_of(directory)
    except ConfigurationError as error:
        # k of n signed rules that nobody can read: until they sign others, nothing is permitted.
        raise Problem("directory-invalid", f"its access rules do not load: {error}") from error
    decisions = decide_all(rules, party, header, at)
    for desk, decision in decisions.items():
        if not decision.allowed:
            raise denied(desk, decision)
    return {desk: decision.policies for desk, decision in decisions.items()}


def denied(desk: str, decision: Decision) -> Problem:
    """The refusal that names the recipient and the rules."""
    names = ", ".join(decision.policies)
    return Problem("access-denied", f"{desk}: {names}", desk=desk, policies=list(decision.policies))


def permit(
    directory: Directory, sender: str, recipients: tuple[str, ...], context: SendContext
) -> dict[str, Decision]:
    """A sender's own question, before anything is sealed: what would the rules say?

    Returns:
        The decision for each recipient, in the order asked.

    Raises:
        Problem: `unknown-recipient`.
    """
    rules = rules_of(directory)
    asking = party_of(directory.council, sender, context.at)
    if asking is None:
        raise Problem("unknown-recipient", f"{sender} is not a desk of this directory")
    parties = []
    for desk in recipients:
        party = party_of(directory.council, desk, context.at)
        if party is None or directory.desk(desk, context.at) is None:
            raise Problem("unknown-recipient", f"{desk} is not a desk of this directory")
        parties.append(party)
    return dict(zip(recipients, rules.decide_each(asking, parties, context), strict=True))
