"""A history in which the council governs meanwhile: it admits, suspends and removes, and names witnesses.

Members change their keys, and the hub may be away for hours; what people decide is signed with their keys and
brought to the hub over the line. May import `histories`; `test_audited_histories` plays with it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Final

from sqlalchemy import select

from broker.audit.journal import Journal
from broker.audit.pipeline import How
from broker.audit.report import AuditReport
from broker.db import reading
from broker.hub.expiry import Expire
from broker.node import tables
from broker.node.alarms.kinds import AlarmKind
from broker.node.home import MEMBER_KEY_NAME, REQUEST_FILE
from broker.node.rekeying import request_new_keys
from keys.ceremony import read_member_request
from keys.desk_requests import read_desk_request
from keys.directory import Delegation, Directory
from keys.member_files import with_desks
from keys.proposals import council_files
from keys.repository import TrustSigner, make_targets, named, sign_member, signed
from keys.tuf_files import metadata_name
from schemas.directory import Council, CouncilMember, HubDescription, MemberFile, Witnesses
from schemas.errors import HubUnreachable
from schemas.governance import Publication
from tests.exchange.histories import MEMBERS, Founded, History, found, witness_key
from tests.exchange.live import EXCHANGE, LiveHub
from tests.exchange.nodes import document

LATE: Final = "dz"
"""It has a node and the invitation; whether it takes part, the council decides."""

YEAR: Final = timedelta(days=365)

TRIES_MAX: Final = 3
"""So often people publish again where the line was cut or the hub died."""

CEREMONY_SECONDS: Final = 360
"""So long people take to sign: nobody has more publications judged than the hub allows in an hour."""

OF_BULLETINS: Final = frozenset(
    {
        AlarmKind.UNANSWERED,
        AlarmKind.UNANSWERED_URGENT,
        AlarmKind.NOT_ACCEPTED,
        AlarmKind.EXPIRED_UNANSWERED,
        AlarmKind.MISSED,
        AlarmKind.URGENT_BULLETIN,
        AlarmKind.RECIPIENT_KEY_EXPIRED,
    }
)
"""Somebody was off, or takes no part any more, and what was for it waits or is over."""

OF_ABSENCE: Final = frozenset(
    {
        AlarmKind.UNREACHABLE,
        AlarmKind.NOT_WITNESSED,
        AlarmKind.RECEIVED_UNWITNESSED,
        AlarmKind.DIRECTORY_STALE,
        AlarmKind.DIRECTORY_OVER_GRACE,
        AlarmKind.AWAITING_CONFIRMATION,
        AlarmKind.SEALING_KEY_STALE,
    }
)
"""The hub, the node or the witnesses were away for a while: over, once all are back."""

OF_STRANGERS: Final = frozenset({AlarmKind.REFUSES_US})
"""The hub answers nothing to those whose keys do not count."""

Seats = Mapping[str, CouncilMember]


class SmallHub(LiveHub):
    """An exchange of four states with one desk each, one of which is not here yet, and an auditor."""

    seats: ClassVar = {**dict.fromkeys(MEMBERS, ("main",)), "auc": ("audit",)}

    def make_council(self, description: HubDescription) -> Council:
        """The default council, without those who have nothing to do with it."""
        council = super().make_council(description)
        here = self.seats | {LATE: ("main",)}
        return with_seats(
            council,
            {
                member: seat.model_copy(
                    update={"desks": {unit: seat.desks[unit] for unit in here[member]}}
                )
                for member, seat in council.members.items()
                if member in here
            },
        )


def with_seats(council: Council, seats: Seats) -> Council:
    """A council with other members, of whom the groups keep theirs."""
    groups = {
        name: group.model_copy(update={"members": tuple(sorted(seats.keys() & group.members))})
        for name, group in council.groups.items()
    }
    return council.model_copy(update={"members": seats, "groups": groups})


@functools.cache
def small_exchange() -> Founded:
    """Three members cosign, of whom two are a quorum, and each wrote to the others; one more waits."""
    began = found(2, SmallHub, (LATE,))
    past = AuditedHistory(began.folder.with_name("past"), began)
    past.everybody_works()
    for member in MEMBERS:
        _, content = document(f"{member}/main", "news")
        others = tuple(f"{other}/main" for other in MEMBERS if other != member)
        past.nodes[member].hand_in(content, others)
    past.everybody_works()
    past.stop()
    return replace(began, folder=past.folder)


class AuditedHistory(History):
    """An exchange with a past of its own, in an empty folder, to which an auditor comes back.

    `taking_part` are the members whose keys count now; `strangers` those whose keys did not count at some
    time, so that the hub refused what they asked for.
    """

    first_days: ClassVar = 29
    """Since the sealing keys were announced: in most histories they are due for renewal."""

    def __init__(self, folder: Path, began: Founded | None = None) -> None:
        super().__init__(folder, began=began or small_exchange())
        self.taking_part = set(MEMBERS)
        self.strangers = {LATE}
        self._files: dict[str, MemberFile] = {}

    @property
    def directory(self) -> Directory:
        """The one in force at the hub."""
        directory = self.ledger.state.directory
        if directory is None:
            raise RuntimeError("no directory is in force")
        return directory

    def everybody_works(self) -> None:
        """Each node does what is due, and looks around."""
        for member, node in self.nodes.items():
            self.work(member)
            self.run(node.look_around())

    # The hub.

    def later(self, **by: float) -> None:
        """Time passes; the hub signs its timestamp anew, and logs what has expired."""
        super().later(**by)
        while self.run(self._sequencer.submit(Expire())):
            pass

    def hub_is_away(self, working: Iterable[str], **by: float) -> None:
        """It is off for a while, in which nodes try in vain."""
        self._end_hub()
        self.offset_seconds += int(timedelta(**by).total_seconds())
        for member in working:
            self.work(member)
        self.open_hub()
        self.later()

    def publish(self, files: Mapping[str, bytes], member: str | None = None) -> None:
        """Bring what was signed, as a member's node or the auditor; again, where it did not get through."""
        publication = Publication(v=1, exchange=EXCHANGE, files=dict(files))
        self.offset_seconds += CEREMONY_SECONDS
        client = self.auditor() if member is None else self.nodes[member].line.reader
        for _ in range(TRIES_MAX):
            try:
                self.run(client.publish(publication))
            except HubUnreachable:
                if self.wire.hub is None:
                    self.crash_hub()
            else:
                return
        raise RuntimeError("the publication did not get through")

    # What people decide.

    def admit(self, member: str) -> None:
        """The council lets a member in, whose request it got in person; or again one that was removed."""
        request = read_member_request((self.nodes[member].data / REQUEST_FILE).read_bytes())
        files = request.files()
        if (known := self.ledger.state.highest.get(f"member-{member}")) is not None:
            # One that left goes on where it was.
            files = self._signed(known.version + 1, self._files[member])
        self.taking_part.add(member)
        seat = {member: self.founded.hub.council.members[member]}
        self._decide({**self._seats, **seat}, files, {member: request.delegation})

    def suspend(self, member: str) -> None:
        """None of its keys counts any more; its witness cosigns no more."""
        self._exclude(member)
        self._decide({**self._seats, member: self._seat(member, is_suspended=True)})

    def reinstate(self, member: str) -> None:
        """Its keys count again."""
        self.taking_part.add(member)
        self._decide({**self._seats, member: self._seat(member, is_suspended=False)})

    def remove(self, member: str) -> None:
        """It has no seat any more, and nobody speaks for it."""
        self._files[member] = self.directory.members[member]
        self._exclude(member)
        self._decide({each: seat for each, seat in self._seats.items() if each != member})

    def rekey(self, member: str) -> None:
        """A member's node gets another identity and another request key."""
        node, part = self.nodes[member], self.directory.member_parts[member]
        path = request_new_keys(node.home, ["main"], node.line.state.directory)
        request = read_desk_request(path.read_bytes(), EXCHANGE)
        file = with_desks(part.file, request, self.directory.council)
        self.publish(self._signed(part.metadata.version + 1, file), member)

    @property
    def _seats(self) -> Seats:
        return self.directory.council.members

    def _seat(self, member: str, *, is_suspended: bool) -> CouncilMember:
        return self._seats[member].model_copy(update={"suspended": is_suspended})

    def _exclude(self, member: str) -> None:
        self.taking_part.discard(member)
        self.strangers.add(member)

    def _signed(self, version: int, file: MemberFile) -> dict[str, bytes]:
        keystore = self.nodes[file.member].home.keystore
        signer = TrustSigner.from_seed(keystore.get(MEMBER_KEY_NAME))
        return sign_member(version, file, [signer], self.clock() + YEAR)

    def _decide(
        self,
        seats: Seats,
        files: Mapping[str, bytes] | None = None,
        joining: Mapping[str, Delegation] | None = None,
    ) -> None:
        """Three governors sign a council in which all who take part are witnesses; it is published."""
        keys = {each: witness_key(self.nodes[each].data) for each in sorted(self.taking_part)}
        witnesses = Witnesses(quorum=len(keys) // 2 + 1, keys=keys)
        council = with_seats(self.founded.hub.council, seats)
        decided = replace(
            council_files(self.directory),
            council=council.model_copy(update={"witnesses": witnesses}),
        )
        known = self.directory.council_part.delegations
        delegations = {each: known[each] for each in known if each in seats} | dict(joining or {})
        number = self.directory.versions["targets"] + 1
        targets = make_targets(number, decided, delegations, self.clock() + YEAR)
        signers = self.founded.hub.governors[:3]
        metadata = {metadata_name("targets", number): signed(targets, signers)}
        self.publish(metadata | named(targets, decided.targets()) | dict(files or {}))

    # The auditor.

    def audit_on(self) -> AuditReport:
        """The auditor comes back: it goes on behind what it verified before."""
        journal = Journal(self.folder)
        try:
            return self.audit(how=How(journal=journal))
        finally:
            journal.close()

    def unexplained_alarms(self, member: str) -> dict[str, str]:
        """By kind: what alarmed a node and nothing explains, and what stands though its cause is gone."""
        explained = OF_BULLETINS | (OF_STRANGERS if member in self.strangers else frozenset())
        lasting = frozenset() if member in self.taking_part else OF_ABSENCE
        causes = {tables.alarm: explained | lasting, tables.alarm_history: explained | OF_ABSENCE}
        with reading(self.nodes[member].home.engine) as connection:
            return {
                row.kind: row.text
                for table, known in causes.items()
                for row in connection.execute(select(table).where(table.c.kind.not_in(known)))
            }
