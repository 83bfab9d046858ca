"""The kinds of alarms: how severe each is, how it ends, and whether a notice may carry its text.

May import the standard library only; `book` keeps them, `words` says them to people.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Severity(StrEnum):
    """How soon a person has to look."""

    CRITICAL = "critical"
    """Now: lives, keys or evidence may depend on it."""
    SERIOUS = "serious"
    """Within the hour: something does not get through."""
    MINOR = "minor"
    """Within the day."""


class AlarmKind(StrEnum):
    """The causes that raise an alarm."""

    HUB_FAULT = "hub-fault"
    """The hub served what does not verify; it was neither stored nor acknowledged."""
    INCONSISTENT_LOG = "inconsistent-log"
    """Two checkpoints of the hub do not belong to one log."""
    OTHER_LEAF = "other-leaf"
    """A recipient was shown another log entry for an own envelope than this node."""
    FINDING = "finding"
    """An entry of the directory log breaks a rule."""
    ENTRY_TIME = "entry-time"
    """The hub logged an entry with a time that it cannot have: the witnesses' times contradict it."""
    GAP = "gap"
    """An envelope between two desks is missing, or a place was given twice."""
    MISSED = "missed"
    """An envelope for an own desk expired, or was destroyed, before this node had it."""
    NEW_LOGS = "new-logs"
    """The council has closed the hub's logs and begun others; what nobody had answered is sent again."""
    RESTORED = "restored"
    """This node was restored from a backup, and the log shows what it did after that backup."""
    FOREIGN_SEALING_KEY = "foreign-sealing-key"
    """A sealing key of an own desk was logged that this node did not make."""
    FOREIGN_ACKNOWLEDGEMENT = "foreign-acknowledgement"
    """An acknowledgement of an own desk was logged that this node did not sign."""
    FOREIGN_ENVELOPE = "foreign-envelope"
    """An envelope of an own desk was logged that this node did not sign."""
    ACKNOWLEDGEMENT_REFUSED = "acknowledgement-refused"
    """The hub refuses to take an acknowledgement."""
    REFUSED = "refused"
    """The hub refused an envelope for good."""
    REJECTED_BY_RECIPIENT = "rejected"
    """A recipient's node rejected an envelope."""
    QUARANTINED = "quarantined"
    """A sender's envelope broke a rule that only its recipient sees."""
    TWO_CONTENTS = "two-contents"
    """One sender gave one bulletin id to two contents; both headers are kept."""
    URGENT_BULLETIN = "urgent-bulletin"
    """A flash or immediate bulletin came that nobody has opened."""
    AWAITING_RELEASE_URGENT = "awaiting-release-urgent"
    """A flash or immediate bulletin waits for the people who release it."""
    AWAITING_RELEASE = "awaiting-release"
    """A priority or routine bulletin waits for the people who release it."""
    UNANSWERED_URGENT = "unanswered-urgent"
    """A flash or immediate bulletin has no answer by the deadline of its precedence."""
    UNANSWERED = "unanswered"
    """A priority or routine bulletin has no answer by the deadline of its precedence."""
    NOT_ACCEPTED = "not-accepted"
    """A bulletin waits to be accepted by the hub for a third of its deadline or longer."""
    NOT_WITNESSED = "not-witnessed"
    """An own bulletin is in the hub's log, and no quorum of witnesses has stood for it for ten minutes."""
    RECEIVED_UNWITNESSED = "received-unwitnessed"
    """Bulletins came an hour ago or more, and no quorum of witnesses stands for them."""
    EXPIRED_UNANSWERED = "expired-unanswered"
    """A bulletin expired before its recipient answered."""
    SEALING_KEY_STALE = "sealing-key-stale"
    """An own desk's sealing key is not renewed, so that it will run out."""
    RECIPIENT_KEY_EXPIRED = "recipient-key-expired"
    """Another desk's sealing key ran out days ago: nothing can be sealed to it."""
    COUNCIL_EXPIRES = "council-expires"
    """The governors' signatures on the trust root or the council run out soon."""
    COUNCIL_EXPIRED = "council-expired"
    """They have run out: the directory says nothing that is sure any more."""
    DIRECTORY_STALE = "directory-stale"
    """For over an hour nothing has vouched that the directory in force is the newest."""
    DIRECTORY_OVER_GRACE = "directory-over-grace"
    """For longer than the council's grace nothing has; what is not urgent waits."""
    AWAITING_CONFIRMATION = "awaiting-confirmation"
    """A flash or immediate bulletin leaves once a person confirms it, the directory being over the grace."""
    TIMESTAMP_MISSING = "timestamp-missing"
    """The hub shows no timestamp for the directory."""
    TIMESTAMP_EXPIRED = "timestamp-expired"
    """The hub's timestamp has run out."""
    TIMESTAMP_ROLLED_BACK = "timestamp-rolled-back"
    """The hub's timestamp is older than one that was seen."""
    TIMESTAMP_OTHER_SNAPSHOT = "timestamp-other-snapshot"
    """The hub's timestamp vouches for another directory than the log has in force."""
    TIMESTAMP_SIGNATURE = "timestamp-signature"
    """The hub's timestamp is not signed by the online key."""
    MEMBER_FILE_EXPIRES = "member-file-expires"
    """The own member's file runs out soon, or has run out: then none of its keys counts."""
    UNREACHABLE = "hub-unreachable"
    """The hub has not answered for several minutes."""
    REFUSES_US = "hub-refuses-requests"
    """The hub answers with a problem that this node cannot mend by itself."""
    CLOCK = "clock-off"
    """This machine's clock is more than five minutes away from the hub's."""
    DISK = "disk-full"
    """The disk of the data directory is full, or nearly."""
    DATABASE = "database-failed"
    """The node's database cannot be read or written."""
    KEYSTORE = "keystore-failed"
    """A secret of an own desk cannot be read from the keystore."""
    NOTICE_FAILED = "notice-failed"
    """A notice to a person could not be sent; it is tried again."""
    INTERNAL = "internal"
    """A part of this node failed and will try again."""


SEVERITY: Final[Mapping[AlarmKind, Severity]] = {
    AlarmKind.HUB_FAULT: Severity.SERIOUS,
    AlarmKind.INCONSISTENT_LOG: Severity.CRITICAL,
    AlarmKind.OTHER_LEAF: Severity.CRITICAL,
    AlarmKind.FINDING: Severity.CRITICAL,
    AlarmKind.ENTRY_TIME: Severity.CRITICAL,
    AlarmKind.GAP: Severity.SERIOUS,
    AlarmKind.MISSED: Severity.SERIOUS,
    AlarmKind.NEW_LOGS: Severity.SERIOUS,
    AlarmKind.RESTORED: Severity.SERIOUS,
    AlarmKind.FOREIGN_SEALING_KEY: Severity.CRITICAL,
    AlarmKind.FOREIGN_ACKNOWLEDGEMENT: Severity.CRITICAL,
    AlarmKind.FOREIGN_ENVELOPE: Severity.CRITICAL,
    AlarmKind.ACKNOWLEDGEMENT_REFUSED: Severity.SERIOUS,
    AlarmKind.REFUSED: Severity.SERIOUS,
    AlarmKind.REJECTED_BY_RECIPIENT: Severity.SERIOUS,
    AlarmKind.QUARANTINED: Severity.SERIOUS,
    AlarmKind.TWO_CONTENTS: Severity.SERIOUS,
    AlarmKind.URGENT_BULLETIN: Severity.CRITICAL,
    AlarmKind.AWAITING_RELEASE_URGENT: Severity.CRITICAL,
    AlarmKind.AWAITING_RELEASE: Severity.SERIOUS,
    AlarmKind.UNANSWERED_URGENT: Severity.CRITICAL,
    AlarmKind.UNANSWERED: Severity.SERIOUS,
    AlarmKind.NOT_ACCEPTED: Severity.SERIOUS,
    AlarmKind.NOT_WITNESSED: Severity.SERIOUS,
    AlarmKind.RECEIVED_UNWITNESSED: Severity.SERIOUS,
    AlarmKind.EXPIRED_UNANSWERED: Severity.SERIOUS,
    AlarmKind.SEALING_KEY_STALE: Severity.SERIOUS,
    AlarmKind.RECIPIENT_KEY_EXPIRED: Severity.MINOR,
    AlarmKind.COUNCIL_EXPIRES: Severity.MINOR,
    AlarmKind.COUNCIL_EXPIRED: Severity.CRITICAL,
    AlarmKind.DIRECTORY_STALE: Severity.SERIOUS,
    AlarmKind.DIRECTORY_OVER_GRACE: Severity.CRITICAL,
    AlarmKind.AWAITING_CONFIRMATION: Severity.CRITICAL,
    AlarmKind.TIMESTAMP_MISSING: Severity.SERIOUS,
    AlarmKind.TIMESTAMP_EXPIRED: Severity.SERIOUS,
    AlarmKind.TIMESTAMP_ROLLED_BACK: Severity.SERIOUS,
    AlarmKind.TIMESTAMP_OTHER_SNAPSHOT: Severity.SERIOUS,
    AlarmKind.TIMESTAMP_SIGNATURE: Severity.SERIOUS,
    AlarmKind.MEMBER_FILE_EXPIRES: Severity.MINOR,
    AlarmKind.UNREACHABLE: Severity.SERIOUS,
    AlarmKind.REFUSES_US: Severity.SERIOUS,
    AlarmKind.CLOCK: Severity.SERIOUS,
    AlarmKind.DISK: Severity.CRITICAL,
    AlarmKind.DATABASE: Severity.CRITICAL,
    AlarmKind.KEYSTORE: Severity.CRITICAL,
    AlarmKind.NOTICE_FAILED: Severity.SERIOUS,
    AlarmKind.INTERNAL: Severity.MINOR,
}

LASTING: Final = frozenset(
    {
        AlarmKind.GAP,
        AlarmKind.FOREIGN_SEALING_KEY,
        AlarmKind.URGENT_BULLETIN,
        AlarmKind.AWAITING_RELEASE_URGENT,
        AlarmKind.AWAITING_RELEASE,
        AlarmKind.UNANSWERED_URGENT,
        AlarmKind.UNANSWERED,
        AlarmKind.NOT_ACCEPTED,
        AlarmKind.NOT_WITNESSED,
        AlarmKind.RECEIVED_UNWITNESSED,
        AlarmKind.SEALING_KEY_STALE,
        AlarmKind.RECIPIENT_KEY_EXPIRED,
        AlarmKind.COUNCIL_EXPIRES,
        AlarmKind.COUNCIL_EXPIRED,
        AlarmKind.DIRECTORY_STALE,
        AlarmKind.DIRECTORY_OVER_GRACE,
        AlarmKind.AWAITING_CONFIRMATION,
        AlarmKind.TIMESTAMP_MISSING,
        AlarmKind.TIMESTAMP_EXPIRED,
        AlarmKind.MEMBER_FILE_EXPIRES,
        AlarmKind.UNREACHABLE,
        AlarmKind.CLOCK,
        AlarmKind.DISK,
        AlarmKind.DATABASE,
        AlarmKind.KEYSTORE,
        AlarmKind.NOTICE_FAILED,
    }
)
"""States of things: the node itself sees when they are over. The others are events, which are over once
a person has acknowledged them and they did not come again for a while. (A sealing key that was logged
stays logged: that alarm is never over, and is quiet once acknowledged.)"""

FACTS_ONLY: Final = LASTING - {AlarmKind.NOTICE_FAILED} | {
    AlarmKind.ENTRY_TIME,
    AlarmKind.MISSED,
    AlarmKind.NEW_LOGS,
    AlarmKind.RESTORED,
    AlarmKind.FOREIGN_ACKNOWLEDGEMENT,
    AlarmKind.FOREIGN_ENVELOPE,
    AlarmKind.ACKNOWLEDGEMENT_REFUSED,
    AlarmKind.EXPIRED_UNANSWERED,
    AlarmKind.TWO_CONTENTS,
}
"""Kinds whose text this node writes of ids, desks, words of its own and times: a notice may carry it. The
others quote what the hub or a library said, which stays on the node."""


def severity_of(kind: str) -> Severity:
    """How severe an alarm is; one of a later version's kinds is taken as serious."""
    known = {str(each): severity for each, severity in SEVERITY.items()}
    return known.get(kind, Severity.SERIOUS)
