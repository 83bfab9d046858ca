"""The node's doctor: settings, keys, database, clock, disk, certificate, the line to the hub; and what to do.

May import `broker.checks`, `broker.client` and the node's own rooms; the command line calls it beside the
running node. Nothing is changed, and nothing secret is said.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final

import httpx
from sqlalchemy.exc import SQLAlchemyError

from broker.checks import (
    Check,
    check_certificate,
    check_clock,
    check_database,
    check_disk,
    check_modes,
    check_operator,
    check_served,
    fail,
    ok,
    warn,
)
from broker.client import HubClient
from broker.db import reading
from broker.node import migrations
from broker.node.alarms.book import list_alarms
from broker.node.alarms.conditions import Failing, find_conditions
from broker.node.alarms.directory import describe_age
from broker.node.alarms.kinds import AlarmKind, Severity, severity_of
from broker.node.alarms.words import advice_of, title_of
from broker.node.clock import Clock
from broker.node.follow_store import NodeFollowStore
from broker.node.freshness import Freshness, Standing, freshness_of
from broker.node.home import WITNESS_KEY_NAME, Home, load_invitation, look_home
from broker.node.line import HubClock, Line, open_line
from broker.node.restored import RESTORED_FILE
from broker.node.sealing_keys import destroyed_key_names
from broker.node.witness_keys import witness_key
from broker.settings import Notices, load_node
from schemas.directory import Council, Invitation, Witnesses
from schemas.errors import BaridError, HubUnreachable, Problem

_KEYS: Final = (AlarmKind.KEYSTORE, AlarmKind.SEALING_KEY_STALE)
_DIRECTORY: Final = (
    AlarmKind.COUNCIL_EXPIRED,
    AlarmKind.COUNCIL_EXPIRES,
    AlarmKind.MEMBER_FILE_EXPIRES,
)
_LOOKED_AT_ITSELF: Final = timedelta(seconds=10)
"""A call that took longer says little about clocks."""


async def diagnose_node(data: Path, passphrase: bytes, clock: Clock) -> AsyncIterator[Check]:
    """Look at everything, what depends on less first.

    Args:
        data: the node's directory.
        passphrase: of its keystore.
        clock: this machine's.
    """
    try:
        settings = load_node(data)
    except BaridError as error:
        yield fail("settings", str(error), "correct config.json, or name another directory")
        return
    yield ok("settings", f"node of {', '.join(settings.desk_ids)} in {settings.exchange}")
    yield _check_notices(settings.notices)
    yield check_modes(data)
    yield check_disk(data)
    yield check_certificate(data, (settings.listen.host,), clock(), "barid node tls renew")
    try:
        home = look_home(data, passphrase)
    except BaridError as error:
        yield fail("keystore", str(error), "give the right passphrase, or restore a backup")
        return
    try:
        yield ok("keystore", f"opens, and has the keys of {len(home.desks)} desks")
        async for check in _look_inside(home, clock):
            yield check
    finally:
        home.close()
    yield check_operator(settings.operator, "node")
    yield check_served(data, settings.listen, "node")


def _check_witness(home: Home, council: Council, member: str) -> Check | None:
    """Whether this node cosigns, where the council says that it does; None where it does not."""
    named = council.witnesses.keys.get(member) if isinstance(council.witnesses, Witnesses) else None
    if named is None:
        return None
    name, advice = "witness", "`barid node witness`, then have the governors name its key"
    if WITNESS_KEY_NAME not in home.keystore.names():
        return fail(
            name, "the council names this node a witness, and it has no witness key", advice
        )
    if witness_key(home.keystore, home.exchange, member).ml_dsa_44 != named.ml_dsa_44:
        return fail(name, "the council names another witness key than this node has", advice)
    return ok(name, f"it cosigns both logs as {named.name}")


def _check_notices(notices: Notices | None) -> Check:
    """Whether anybody would be told of an alarm, as far as it shows without telling them."""
    name = "notices"
    if notices is None or not notices.channels:
        said = "nobody is told of alarms who is not at the screen"
        return warn(name, said, "set `notices` in config.json: docs/alarms.md")
    command = notices.command
    if command is not None and not os.access(command.argv[0], os.X_OK):
        return fail(
            name,
            f"{command.argv[0]} is no program that can be run",
            "correct `notices` in config.json",
        )
    return ok(name, f"by {' and '.join(sorted(notices.channels))}; `barid alarms test` tries them")


async def _look_inside(home: Home, clock: Clock) -> AsyncIterator[Check]:
    checks = check_database(home.engine, migrations)
    for check in checks:
        yield check
    if (home.data / RESTORED_FILE).exists():
        said = "it was restored, and has not taken everything again"
        yield warn("restore", said, "let it run with a line to the hub, and look at its alarms")
    try:
        invitation = load_invitation(home.data, home.exchange)
        line = open_line(home, invitation, NodeFollowStore(home.engine), clock)
    except (BaridError, SQLAlchemyError) as error:
        said = str(error) if isinstance(error, BaridError) else type(error).__name__
        yield fail("invitation", said, "`barid node join` with the governors' invitation")
        return
    try:
        for check in await _call_hub(line, invitation, clock):
            yield check
        if all(check.grade == "ok" for check in checks):
            for check in _look_at_conditions(home, line, clock()):
                yield check
        directory = line.state.directory
        if directory is not None:
            found = _check_witness(home, directory.council, home.settings.member)
            if found is not None:
                yield found
    finally:
        await line.close()


async def _call_hub(line: Line, invitation: Invitation, clock: Clock) -> list[Check]:
    """One signed request by each desk; the first answer also tells the hub's time."""
    name = "line to the hub"
    directory = line.state.directory
    url = invitation.hub.url if directory is None else directory.council.hub.url
    checks: list[Check] = []
    for desk, client in line.clients.items():
        try:
            began = clock()
            told = await _ask(client, line.time, invitation.logs.generation)
        except HubUnreachable as error:
            advice = "check the line, the address and the hub's TLS certificate; ask its operator"
            # Of a connection that was not made the system says why: no address, or which certificate.
            why = f": {error.__cause__}" if isinstance(error.__cause__, httpx.ConnectError) else ""
            return [fail(name, f"{url}: {error}{why}", advice)]
        except Problem as problem:
            said = f"{url} refuses {desk}: {problem.word}"
            checks.append(fail(name, said, problem.type.advice or "ask the hub's operator"))
            continue
        except BaridError as error:
            checks.append(fail(name, f"{url}: {error}", "is it a hub? ask its operator"))
            continue
        if not any(check.name == "clock" for check in checks):
            checks += _compare_clocks(told, began, clock())
        checks.append(ok(name, f"{url} answers {desk}"))
    return checks


async def _ask(client: HubClient, time: HubClock, generation: int) -> str:
    """Have the hub answer a signed request, at the second try with the hub's time; gives its `Date`."""
    path = f"/v1/log/directory/{generation}/checkpoint"
    try:
        async with client.asked("GET", path) as answer:
            return _date(answer)
    except Problem as problem:
        if problem.word != "signature-expired":
            raise
        time.learn(problem)
    async with client.asked("GET", path) as answer:
        return _date(answer)


def _date(answer: httpx.Response) -> str:
    return str(answer.headers.get("Date", ""))


def _compare_clocks(told: str, began: datetime, ended: datetime) -> Iterator[Check]:
    try:
        hub = parsedate_to_datetime(told)
    except ValueError:
        yield warn("clock", "the hub does not say what time it is", "compare with another clock")
        return
    if ended - began > _LOOKED_AT_ITSELF:
        yield warn("clock", "the hub took too long to compare clocks", "try again")
    elif began <= hub <= ended:
        yield check_clock(timedelta(0), "the hub's")
    else:
        yield check_clock(hub - (began if hub < began else ended), "the hub's")


def _look_at_conditions(home: Home, line: Line, now: datetime) -> Iterator[Check]:
    """What the running node would raise alarms for, and the alarms that wait for a person."""
    with reading(home.engine) as connection:
        found = find_conditions(connection, home, line, Failing(), now)
        waiting = list_alarms(connection, waiting=True)
        directory = line.state.directory
        freshness = None if directory is None else freshness_of(connection, directory, now)
    if freshness is None:
        advice = "start the node; it follows the hub's log"
        yield warn("directory", "none is known yet", advice)
    else:
        yield from _of_kinds(
            "directory", _DIRECTORY, found.causes, "in force, and not near its end"
        )
        yield _check_freshness(freshness)
        yield from _of_kinds("own keys", _KEYS, found.causes, "all can be read, and are renewed")
    if destroyed := len(destroyed_key_names(home)):
        said = f"{destroyed} sealing keys; a copy of an older backup opens what was sealed to them"
        yield ok("destroyed keys", said)
    if waiting:
        grave = sum(severity_of(each.kind) is Severity.CRITICAL for each in waiting)
        said = f"{len(waiting)} wait for a person, {grave} of them critical"
        yield warn("alarms", said, "`barid alarms list`")
    else:
        yield ok("alarms", "none waits for a person")


def _check_freshness(freshness: Freshness) -> Check:
    """Whether the running node found the directory to be the newest lately."""
    name, said = "freshness", describe_age(freshness)
    if freshness.over_grace:
        expired = freshness.council_expired
        kind = AlarmKind.COUNCIL_EXPIRED if expired else AlarmKind.DIRECTORY_OVER_GRACE
        return fail(name, f"{title_of(kind).en}; {said}", advice_of(kind).en)
    if freshness.standing is Standing.STALE:
        return warn(name, said, advice_of(AlarmKind.DIRECTORY_STALE).en)
    return ok(name, f"the directory was {said}")


def _of_kinds(
    name: str,
    kinds: tuple[AlarmKind, ...],
    causes: dict[AlarmKind, dict[str, str]],
    otherwise: str,
) -> Iterator[Check]:
    wrong = [(kind, *each) for kind in kinds for each in causes.get(kind, {}).items()]
    for kind, subject, text in wrong:
        make = warn if severity_of(kind) is Severity.MINOR else fail
        yield make(name, f"{title_of(kind).en}: {subject}: {text}", advice_of(kind).en)
    if not wrong:
        yield ok(name, otherwise)
