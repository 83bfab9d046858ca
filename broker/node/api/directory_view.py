"""The directory for people: desks, groups, and what a desk may send to whom.

May import `broker.policy`, `keys.directory` and the node's own rooms; the directory route calls it.
"""

from __future__ import annotations

from datetime import datetime

from broker.node.api.views import DeskInfo, DirectoryView, GroupInfo
from broker.policy.admission import permit
from broker.policy.context import SendContext
from keys.directory import Directory
from keys.history import DirectoryState
from schemas.bulletin.marking import HeaderMarking
from schemas.bulletin.vocabularies import (
    Classification,
    Kind,
    Precedence,
    Purpose,
    Status,
    Tlp,
    Topic,
)
from schemas.errors import Problem


def show_directory(state: DirectoryState, exchange: str, desk: str, at: datetime) -> DirectoryView:
    """Show the directory in force as one desk sees it.

    Args:
        state: the newest verified state of the directory log.
        exchange: the exchange's name.
        desk: who asks what it may send.
        at: now, UTC, whole seconds.

    Raises:
        Problem: `busy` while no directory has been read.
    """
    directory, in_force, since = state.directory, state.in_force, state.in_force_since
    if directory is None or in_force is None or since is None:
        raise Problem("busy", "this node has not read the directory yet: is the hub reachable?")
    others = tuple(other for other in directory.desks() if other != desk)
    kinds = _kinds_by_desk(directory, desk, others, at)
    return DirectoryView(
        exchange=exchange,
        entry=in_force.index,
        since=since,
        desks=tuple(_desk_info(state, directory, other, kinds[other], at) for other in others),
        groups=_groups(directory, at),
    )


def _kinds_by_desk(
    directory: Directory, desk: str, others: tuple[str, ...], at: datetime
) -> dict[str, tuple[Kind, ...]]:
    """What the rules let a desk send, asked with the least marking and without personal data."""
    found: dict[str, list[Kind]] = {other: [] for other in others}
    for kind in Kind:
        judicial = kind is Kind.JUDICIAL_REQUEST
        context = SendContext(
            status=Status.ACTUAL,
            kind=kind,
            topics=(Topic.JUDICIAL_COOPERATION if judicial else Topic.BORDER_MANAGEMENT,),
            purpose=Purpose.JUDICIAL_COOPERATION if judicial else Purpose.BORDER_MONITORING,
            precedence=Precedence.ROUTINE,
            personal_data=False,
            marking=HeaderMarking(
                tlp=Tlp.CLEAR, classification=Classification.UNCLASSIFIED, caveats=()
            ),
            at=at,
        )
        for other, decision in permit(directory, desk, others, context).items():
            if decision.allowed:
                found[other].append(kind)
    return {other: tuple(kinds) for other, kinds in found.items()}


def _desk_info(
    state: DirectoryState, directory: Directory, desk: str, kinds: tuple[Kind, ...], at: datetime
) -> DeskInfo:
    view = directory.desk(desk, at)
    if view is None:
        raise Problem("not-found", f"{desk} is not a desk of this directory")
    return DeskInfo(
        desk=desk,
        names=view.names,
        member_names=directory.council.members[desk.partition("/")[0]].names,
        kind=view.kind,
        functions=tuple(sorted(view.functions)),
        receives=state.sealing_key(desk, at) is not None,
        may_send=kinds if view.node else (),
    )


def _groups(directory: Directory, at: datetime) -> tuple[GroupInfo, ...]:
    groups = []
    for name, group in sorted(directory.council.groups.items()):
        try:
            desks = directory.expand_group(name, at)
        except Problem:
            # Nobody of it can receive now: there is nothing to offer.
            continue
        groups.append(GroupInfo(group=name, names=group.names, desks=desks))
    return tuple(groups)
