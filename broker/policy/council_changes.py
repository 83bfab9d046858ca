"""What changes in `council.json`, from members to logs, and what is newly ordered to be destroyed.

May import `schemas`, `broker.tlog` and `broker.policy.changes`; pure. `differences` calls it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from broker.policy.changes import Change, called, listed, plain_differences, titled
from broker.tlog.note import SignatureType, VerifierKey
from schemas.directory import Council, CouncilMember, Group, Witnesses, WitnessKey
from schemas.loader import to_plain
from schemas.purges import PurgeOrder
from schemas.scalars import format_time

_TOLD_ELSEWHERE: Final = frozenset({"members", "groups", "governors", "witnesses"})
_KIND: Final = {
    "grouping": "grouping",
    "bilateral": "bilateral channel",
    "operation": "joint operation",
}


def council_changes(before: Council | None, after: Council) -> Iterator[Change]:
    """Say all that differs between two councils; everything is new where there was none."""
    yield from _members(before.members if before else {}, after.members)
    yield from _groups(before.groups if before else {}, after.groups)
    yield from _witnesses(before, after)
    yield from _new_logs(before, after)
    old, new = _rest(before), _rest(after)
    if before is not None and before.logs.generation != after.logs.generation:
        old.pop("logs")
        new.pop("logs")
    for path, was, will in plain_differences(old, new):
        text = f"{path}: {will} (before: {was})" if before else f"{path}: {will}"
        yield Change("council", "-", text)


def purge_changes(before: Sequence[PurgeOrder], after: Sequence[PurgeOrder]) -> Iterator[Change]:
    """Say what is newly ordered to be destroyed; an order that is gone or another is refused elsewhere."""
    known = {order.place for order in before}
    for order in after:
        if order.place not in known:
            text = (
                f"the hub is to destroy for good what opens entry {order.index} of {order.origin}, leaf"
                f" {order.leaf}: {order.reason.en}; {called(order.reason)}"
            )
            yield Change("purge", f"{order.origin} {order.index}", text)


def _rest(council: Council | None) -> dict[str, Any]:
    if council is None:
        return {}
    return {k: v for k, v in to_plain(council).items() if k not in _TOLD_ELSEWHERE}


def _members(
    before: Mapping[str, CouncilMember], after: Mapping[str, CouncilMember]
) -> Iterator[Change]:
    for id_ in sorted({*before, *after}):
        old, new = before.get(id_), after.get(id_)
        if new is None and old is not None:
            text = (
                f"{titled(old.names, id_)} leaves the exchange: none of its desks exists any more"
            )
            yield Change("member", id_, text)
        elif new is not None and old is None:
            text = f"{titled(new.names, id_)} is a new member, {called(new.names)}: {_who(new)}"
            yield Change("member", id_, text)
            if new.suspended:
                yield Change("member", id_, _suspension(new, id_))
            yield from _desks(id_, new, {})
        elif old is not None and new is not None:
            yield from _member(id_, old, new)


def _who(seat: CouncilMember) -> str:
    kind = "a state" if seat.kind == "state" else "an organisation"
    return f"{kind} that receives up to {_ceiling(seat)}"


def _ceiling(seat: CouncilMember) -> str:
    return f"TLP:{seat.ceiling.tlp.upper()} and {seat.ceiling.classification}"


def _suspension(seat: CouncilMember, id_: str) -> str:
    name = titled(seat.names, id_)
    if seat.suspended:
        return f"{name} is suspended: none of its keys counts, it neither sends nor receives"
    return f"{name} is no longer suspended: its keys count again"


def _member(id_: str, old: CouncilMember, new: CouncilMember) -> Iterator[Change]:
    name = titled(new.names, id_)
    if old.suspended != new.suspended:
        yield Change("member", id_, _suspension(new, id_))
    if old.kind != new.kind:
        yield Change("member", id_, f"{name} is now {_who(new)} (before: {_who(old)})")
    elif old.ceiling != new.ceiling:
        text = f"{name} now receives up to {_ceiling(new)} (before: {_ceiling(old)})"
        yield Change("member", id_, text)
    for path, was, will in plain_differences(to_plain(old.names), to_plain(new.names)):
        yield Change("member", id_, f"{name}: name in {path}: {will} (before: {was})")
    yield from _desks(id_, new, old.desks)


def _desks(id_: str, seat: CouncilMember, before: Mapping[str, Any]) -> Iterator[Change]:
    for unit in sorted({*before, *seat.desks}):
        desk = f"{id_}/{unit}"
        if unit not in seat.desks:
            yield Change("member", desk, f"the desk {desk} is taken away")
            continue
        if unit not in before:
            text = f"new desk {desk}, with the functions: {listed(seat.desks[unit])}"
            yield Change("member", desk, text)
            continue
        old, new = set(before[unit]), set(seat.desks[unit])
        if new - old:
            yield Change("member", desk, f"{desk} is granted the functions: {listed(new - old)}")
        if old - new:
            yield Change("member", desk, f"{desk} loses the functions: {listed(old - new)}")


def _groups(before: Mapping[str, Group], after: Mapping[str, Group]) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if new is None and old is not None:
            yield Change("group", name, f"the {_KIND[old.kind]} {titled(old.names, name)} ends")
        elif new is not None and old is None:
            text = f"new {_KIND[new.kind]} {titled(new.names, name)}: {listed(new.members)}"
            yield Change("group", name, f"{text}; {_reach(new)}; {called(new.names)}")
        elif old is not None and new is not None:
            yield from _group(name, old, new)


def _witnesses(before: Council | None, after: Council) -> Iterator[Change]:
    old, new = _cosigning(before), _cosigning(after)
    was, will = (each.keys if each else {} for each in (old, new))
    for member in sorted({*was, *will}):
        name = titled(after.members[member].names, member) if member in after.members else member
        if member not in will:
            text = f"the node of {name} is no witness any more"
        elif member not in was:
            text = f"the node of {name} becomes a witness: {_key(will[member])}"
        elif was[member] != will[member]:
            text = f"the witness of {name} has another key: {_key(will[member])}"
        else:
            continue
        yield Change("council", member, text)
    if new is None:
        if old is not None or before is None:
            yield Change("council", "-", "nobody cosigns the logs: it is a test exchange")
    elif old is None or (old.quorum, len(was)) != (new.quorum, len(will)):
        text = f"{new.quorum} of {len(will)} witnesses must cosign the logs"
        yield Change("council", "-", text)


def _new_logs(before: Council | None, after: Council) -> Iterator[Change]:
    """Say how logs end that the council closes, and which follow."""
    if before is None or before.logs.generation == after.logs.generation:
        return
    for closed in after.logs.previous[len(before.logs.previous) :]:
        for name, log in (("directory", closed.directory), ("exchange", closed.exchange)):
            text = f"the {name} log {log.origin} is closed; it ends with {log.size} entries, root {log.root}"
            yield Change("council", "-", text)
    logs = after.logs
    text = (
        f"new logs begin, signed by other keys: generation {logs.generation}, {logs.directory.origin} and"
        f" {logs.exchange.origin}; compare the ends with what members and the auditor verified"
    )
    yield Change("council", "-", text)


def _cosigning(council: Council | None) -> Witnesses | None:
    named = council.witnesses if council else None
    return named if isinstance(named, Witnesses) else None


def _key(key: WitnessKey) -> str:
    type_ = SignatureType.ML_DSA_44_COSIGNATURE
    return f"{key.name}, key id {VerifierKey(key.name, type_, key.ml_dsa_44).key_id.hex()}"


def _reach(group: Group) -> str:
    until = f", until {format_time(group.until)}" if group.until else ""
    return f"who writes to it reaches their {group.function} desks{until}"


def _group(name: str, old: Group, new: Group) -> Iterator[Change]:
    title = titled(new.names, name)
    joined, left = set(new.members) - set(old.members), set(old.members) - set(new.members)
    if joined:
        yield Change("group", name, f"{title}: {listed(joined)} joined")
    if left:
        yield Change("group", name, f"{title}: {listed(left)} left")
    if old.kind != new.kind:
        text = f"{title} is now a {_KIND[new.kind]} (before: {_KIND[old.kind]})"
        yield Change("group", name, text)
    if (old.function, old.until) != (new.function, new.until):
        yield Change("group", name, f"{title}: {_reach(new)} (before: {_reach(old)})")
    for path, was, will in plain_differences(to_plain(old.names), to_plain(new.names)):
        yield Change("group", name, f"{title}: name in {path}: {will} (before: {was})")
