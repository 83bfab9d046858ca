"""Publications over HTTPS: what comes into force, once, for everybody, and whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from broker.hub import publishing as publishing_module
from broker.hub.logbook import LogWriter
from keys.keystore import Keystore
from keys.repository import TrustSigner
from schemas.directory import Council
from schemas.errors import Problem
from schemas.governance import Published
from tests.exchange.acting import submit, verified
from tests.exchange.live import LiveHub, live_hub, run
from tests.exchange.publishing import (
    grace,
    in_force,
    publish,
    refused,
    revoking,
    root,
    send,
    signers,
    undelegated,
    with_governors,
)
from tests.exchange.raw import rows


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """A hub that counts no publications: what it refuses is another test's than how often."""
    patch = pytest.MonkeyPatch()
    patch.setattr(publishing_module, "PUBLICATIONS_PER_HOUR_MAX", 10_000)
    with live_hub(tmp_path_factory.mktemp("publications") / "hub") as serving:
        run(serving.announce("tn/main"))
        yield serving
    patch.undo()


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """A hub of its own."""
    with live_hub(tmp_path_factory.mktemp("publications") / "hub") as serving:
        run(serving.announce("tn/main"))
        yield serving


def test_a_member_publishes_its_own_file(hub: LiveHub) -> None:
    """Whichever desk brings it, it is in force when the answer comes, and nothing else has changed."""
    before = in_force(hub)
    file = signers(hub).member("ly", revoking(1))
    answer = publish(hub, file, "eg/judicial")
    after = in_force(hub)
    assert answer == Published(index=hub.directory_ref.index, snapshot=after.snapshot_file)
    assert after.members["ly"].revoked == ("0" * 63 + "1",)
    assert after.snapshot_file.version == before.snapshot_file.version + 1
    assert after.same_for(before, [m for m in before.members if m != "ly"])
    verified(hub, run(submit(hub, hub.seal(hub.outgoing("ly/main"), "tn/main"))))


def test_several_roles_come_together(hub: LiveHub) -> None:
    """Council and members in one publication are one entry."""
    parties, size = signers(hub), hub.ledger.state.size
    files = parties.targets(grace(7200)) | parties.member("ma", revoking(2))
    index = publish(hub, files | parties.member("ne", revoking(3))).index
    assert (index, hub.ledger.state.size) == (size, size + 1)
    directory = in_force(hub)
    assert directory.council.grace_seconds == 7200
    assert [len(directory.members[m].revoked) for m in ("ma", "ne")] == [1, 1]


def test_the_same_again_is_the_same_answer(hub: LiveHub) -> None:
    """Also after others published, and mixed with what is older: nothing is logged twice."""
    first = signers(hub).member("td", revoking(4))
    answer = publish(hub, first)
    second = publish(hub, signers(hub).member("td", revoking(4, 5)))
    before = rows(hub)
    assert publish(hub, first, "td/main") == answer
    assert publish(hub, hub.files) == Published(index=0, snapshot=publish(hub, hub.files).snapshot)
    assert second.index == hub.directory_ref.index
    assert rows(hub) == before


def test_the_same_at_once_is_one_entry(hub: LiveHub) -> None:
    """Desks of several members bring one publication at the same time."""
    files, size = signers(hub).member("mr", revoking(6)), hub.ledger.state.size

    async def at_once() -> list[Published]:
        desks = ("tn/main", "mr/main", "dz/main", "eg/main")
        return list(await asyncio.gather(*(send(hub, files, desk) for desk in desks)))

    answers = run(at_once())
    assert {answer.index for answer in answers} == {size}
    assert hub.ledger.state.size == size + 1


def test_what_another_process_has_just_published(
    hub: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are in the database, and the running hub has not noticed: the answer is its entry."""
    monkeypatch.setattr(hub.ledger, "catch_up", lambda: None)
    files = signers(hub).member("mr", revoking(7))
    index = hub.publish(files)
    assert publish(hub, files).index == index


def test_files_that_were_never_in_force_together(hub: LiveHub) -> None:
    """Two old files that belong to different directories are no directory."""
    first = publish_files(hub, "dz", 1)
    publish_files(hub, "dz", 2)
    other = publish_files(hub, "eg", 1)
    assert "never in force together" in refused(hub, first | other).detail


def publish_files(hub: LiveHub, member: str, number: int) -> dict[str, bytes]:
    """Publish another version of a member's file; gives the files."""
    files = signers(hub).member(member, revoking(*range(100, 100 + number)))
    publish(hub, files)
    return files


def test_governors_change_with_what_they_signed(fresh: LiveHub) -> None:
    """A new root comes with targets of the new governors; the former ones count for nothing from then on."""
    parties = signers(fresh)
    governors = [*fresh.governors[2:], TrustSigner.generate(), TrustSigner.generate()]
    new = with_governors(parties, governors)
    publish(fresh, root(fresh, governors, fresh.governors[:3]) | new.targets(grace(7200)))
    assert in_force(fresh).versions["root"] == 2
    former = [*fresh.governors[:2], governors[0]]
    problem = refused(fresh, parties.targets(grace(1), signers=former))
    assert "targets is not signed as it must be" in problem.detail
    publish(fresh, new.targets(grace(3600)))
    assert in_force(fresh).council.grace_seconds == 3600


def test_a_member_that_leaves(fresh: LiveHub) -> None:
    """The next snapshot does not list it; coming back it goes on with the version that it had."""

    def without_chad(council: Council) -> Council:
        members = {m: seat for m, seat in council.members.items() if m != "td"}
        groups = {
            name: group.model_copy(update={"members": tuple(m for m in group.members if m != "td")})
            for name, group in council.groups.items()
        }
        return council.model_copy(update={"members": members, "groups": groups})

    council = in_force(fresh).council
    publish(fresh, undelegated(fresh, without_chad, "td"))
    assert "td" not in in_force(fresh).members
    with pytest.raises(Problem, match="unknown-key"):
        publish(fresh, signers(fresh).member("ly"), "td/main")
    keys = {"td": fresh.member_signers["td"]}
    publish(fresh, signers(fresh).targets(lambda _: council, keys=keys))
    assert in_force(fresh).versions["member-td"] == 1
    publish(fresh, signers(fresh).member("td", revoking(1)), "td/main")


def test_a_suspended_member_is_nobody(fresh: LiveHub) -> None:
    """From the entry on that suspends it the hub knows none of its desks; once it is not, all of them."""

    def suspended(value: bool) -> Callable[[Council], Council]:
        def change(council: Council) -> Council:
            seat = council.members["ly"].model_copy(update={"suspended": value})
            return council.model_copy(update={"members": {**council.members, "ly": seat}})

        return change

    async def calls() -> list[str]:
        said = []
        for desk in ("ly/main", "ly/judicial", "tn/main"):
            async with fresh.client(desk) as client:
                try:
                    await client.trust_file("metadata/1.root.json")
                    await client.inbox(desk, limit=1)
                    said.append("heard")
                except Problem as problem:
                    said.append(problem.word)
        return said

    envelope = fresh.seal(fresh.outgoing("ly/main"), "tn/main")
    publish(fresh, signers(fresh).targets(suspended(True)))
    assert run(calls()) == ["unknown-key", "unknown-key", "heard"]
    with pytest.raises(Problem, match="unknown-key"):
        run(submit(fresh, envelope))
    with pytest.raises(Problem, match="unknown-key"):
        publish(fresh, signers(fresh).member("ly", revoking(1)), "ly/main")
    publish(fresh, signers(fresh).targets(suspended(False)))
    assert run(calls()) == ["heard", "heard", "heard"]


def test_a_hub_that_is_killed_while_it_publishes(
    fresh: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the commit nothing of it is on the disk; the same again is published."""
    files, before = signers(fresh).member("ly", revoking(1)), rows(fresh)

    def dies(*_arguments: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(LogWriter, "close", dies)
        assert refused(fresh, files).word == "internal"
    assert rows(fresh) == before
    index = publish(fresh, files).index
    fresh.stop()
    fresh.keystore = Keystore.open(fresh.data / "keystore", b"a passphrase of tests")
    fresh.start()
    assert in_force(fresh).members["ly"].revoked == ("0" * 63 + "1",)
    assert publish(fresh, files).index == index
