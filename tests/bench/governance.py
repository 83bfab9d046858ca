"""A directory as large as a continent's: how long a node reads it, and what its access rules cost.

May import the hub's rooms and a live hub; `__main__` calls it. Fifty members with eight desks each, sixty
rules: the nine states' rules, and groupings by topic of the same form.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from itertools import pairwise, product
from pathlib import Path
from string import ascii_lowercase
from tempfile import TemporaryDirectory
from typing import ClassVar, Final

from broker.client import HubClient
from broker.following import Follower
from broker.hub.relay import Relay, judge, read_submission
from broker.policy.admission import rules_of
from broker.policy.context import parties_of
from broker.policy.rules import AccessRules, decide_all, default_texts
from schemas.bulletin.vocabularies import DeskFunction, Topic
from schemas.directory import Council, Group, HubDescription
from schemas.envelope import DirectoryRef, Header
from schemas.loader import dump_json
from tests.bench.figures import Bar, Figure, Section, table
from tests.exchange.forging import MemoryStore
from tests.exchange.live import EXCHANGE, LiveHub, names, now, run

MEMBERS: Final = 50
RULES: Final = 60
RECIPIENTS: Final = 49
SUBMISSIONS: Final = 50
REFRESH_BAR_SECONDS: Final = 2.0
DECISIONS_BAR: Final = 0.1

UNITS: Final[Mapping[str, tuple[DeskFunction, ...]]] = {
    "border": (DeskFunction.BORDER_GUARD,),
    "customs": (DeskFunction.CUSTOMS,),
    "experts": (DeskFunction.EXPERT_COMMITTEE,),
    "interior": (DeskFunction.MAIN,),
    "judicial": (DeskFunction.JUDICIAL,),
    "main": (DeskFunction.MAIN,),
    "military": (DeskFunction.MILITARY,),
    "police": (DeskFunction.POLICE,),
}
_IDS: Final = tuple(
    f"{first}{second}" for first, second in product(ascii_lowercase, ascii_lowercase)
)[:MEMBERS]
_TOPICS: Final = tuple(Topic)


class LargeHub(LiveHub):
    """The hub of fifty members; the African Union's auditor is not among them."""

    seats: ClassVar[Mapping[str, tuple[str, ...]]] = dict.fromkeys(_IDS, tuple(UNITS))

    def make_council(self, description: HubDescription) -> Council:
        """Every member in the standing mechanism, and in every fifth grouping by topic."""
        council = super().make_council(description)
        seat = council.members["tn"].model_copy(update={"desks": dict(UNITS)})
        groups = {"tripoli": Group(names=names("all"), members=_IDS)}
        for number in range(_groupings()):
            members = tuple(each for at, each in enumerate(_IDS) if at % 5 == number % 5)
            groups[f"grouping_{number}"] = Group(names=names(str(number)), members=members)
        return council.model_copy(
            update={"members": dict.fromkeys(_IDS, seat), "groups": groups, "governors": {}}
        )

    def rules(self) -> tuple[str, str]:
        """The default rules, and one for each further grouping."""
        policy_text, schema_text = default_texts()
        return policy_text + "".join(map(_grouping, range(_groupings()))), schema_text


def _groupings() -> int:
    return RULES - len(AccessRules.load(*default_texts()).ids)


def _grouping(number: int) -> str:
    topic = _TOPICS[number % len(_TOPICS)]
    group = f'"grouping_{number}"'
    return f"""
@id("grouping-{number}")
permit (principal, action == Action::"send", resource)
when {{ principal.groups.contains({group}) && resource.groups.contains({group}) }}
when {{ [Topic::"{topic}"].containsAll(context.topics) }};
"""


def measure(folder: Path, submissions: int = SUBMISSIONS) -> Section:
    """Found the exchange, read its directory over TLS, and judge bulletins for fifty desks."""
    hub = LargeHub(folder / "large")
    hub.start()
    try:
        reading, again = run(_refresh(hub))
        senders = [f"{member}/main" for member in _IDS]
        run(hub.announce(*senders))
        decisions = _decisions(hub, senders, submissions)
    finally:
        hub.stop()
    desks = MEMBERS * len(UNITS)
    what = f"{MEMBERS} members, {desks} desks, {RULES} rules"
    return Section(
        "a large directory",
        (
            Figure("read whole by a new node", reading, "s", Bar(REFRESH_BAR_SECONDS, True), what),
            Figure("read again after one member's change", again, "s"),
            *decisions,
        ),
    )


async def _refresh(hub: LargeHub) -> tuple[float, float]:
    """Seconds until the directory in force is verified: all of it, and what changed."""
    keys = hub.desks[f"{_IDS[0]}/main"].request
    async with HubClient(hub.invitation.hub, EXCHANGE, keys, hub.now_unix) as client:
        follower = Follower(hub.invitation, client, MemoryStore(), now)
        start = time.perf_counter()
        await follower.refresh()
        whole = time.perf_counter() - start
        _check_current(follower.state.in_force, hub)
        hub.publish(hub.signed_member(_IDS[1], 2, now() + timedelta(days=300)))
        start = time.perf_counter()
        await follower.refresh()
        changed = time.perf_counter() - start
        _check_current(follower.state.in_force, hub)
    return whole, changed


def _check_current(known: DirectoryRef | None, hub: LargeHub) -> None:
    hub.ledger.catch_up()
    if known != hub.directory_ref:
        raise RuntimeError("the directory in force was not read")


def _decisions(hub: LargeHub, senders: list[str], submissions: int) -> list[Figure]:
    """The rules' share of a submission's processor time; HTTP and TLS are left out of the whole.

    Each desk sends once to the same number of others. The first questions are about desks and contents that
    the rules were asked about before, the second about contents that they never were.
    """
    moment = hub.moment()
    asked, new = Topic.ARMS, list(pairwise(_TOPICS))
    bodies = []
    for sender in senders[:submissions]:
        to = sorted(desk for desk in senders if desk != sender)[:RECIPIENTS]
        outgoing = hub.outgoing(sender, topics=(asked,))
        bodies.append((sender, dump_json(hub.seal(outgoing, *to))))
    state = hub.ledger.state
    directory = state.directory
    if directory is None:
        raise RuntimeError("no directory is in force")
    rules = rules_of(directory)
    read = [read_submission(body, sender) for sender, body in bodies]
    headers = [each.header for each in read]

    def ask(header: Header) -> None:
        parties = parties_of(directory.council)
        decide_all(rules, lambda desk: parties.at(desk, moment), header, moment)

    for header in headers:
        ask(header)
    start = time.process_time()
    verdicts = [judge(each, state, moment) for each in read]
    works = [
        Relay(submission, verdict, state.size, moment)
        for submission, verdict in zip(read, verdicts, strict=True)
    ]
    hub.ledger.commit(works)
    whole = (time.process_time() - start) / len(read)
    known = _cost(ask, headers)
    unknown = _cost(
        ask,
        [
            header.model_copy(update={"topics": tuple(sorted(topics))})
            for header, topics in zip(headers, new, strict=False)
        ],
    )
    what = f"decisions for {RECIPIENTS} recipients, of a submission's time"
    rest = whole - known
    return [
        Figure(what, known / whole, "", Bar(DECISIONS_BAR, True), f"{known * 1e6:.0f} µs"),
        Figure(
            "the same about what was never sent before",
            unknown / (rest + unknown),
            "",
            remark=f"{unknown * 1e6:.0f} µs",
        ),
    ]


def _cost(ask: Callable[[Header], None], headers: Sequence[Header]) -> float:
    """Seconds of processor time for one."""
    start = time.process_time()
    for header in headers:
        ask(header)
    return (time.process_time() - start) / len(headers)


if __name__ == "__main__":
    with TemporaryDirectory() as made:
        print(table([measure(Path(made))]))
