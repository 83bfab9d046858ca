"""Publications that readers would call void, or that are none: refused, and nothing of them is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from broker.hub import publishing as publishing_module
from keys.repository import TrustSigner
from schemas.limits import PUBLICATION_BYTES_MAX
from schemas.loader import dump_json, load_json
from tests.exchange.live import LiveHub, live_hub, now
from tests.exchange.publishing import (
    PUBLICATION,
    Files,
    crafted_member,
    grace,
    in_force,
    publication,
    publish,
    refused,
    revoking,
    root,
    signers,
    undelegated,
)
from tests.exchange.raw import http, rows, signature, word
from tests.exchange.raw import send as send_raw


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """A hub that counts no publications, and whose council and Libya have published before."""
    patch = pytest.MonkeyPatch()
    patch.setattr(publishing_module, "PUBLICATIONS_PER_HOUR_MAX", 10_000)
    with live_hub(tmp_path_factory.mktemp("refused") / "hub") as serving:
        parties = signers(serving)
        publish(serving, parties.targets(grace(7200)) | parties.member("ly", revoking(1)))
        yield serving
    patch.undo()


def _two_of(hub: LiveHub) -> Files:
    return signers(hub).targets(grace(1), signers=hub.governors[:2])


def _same_governor_twice(hub: LiveHub) -> Files:
    first, second, _ = hub.governors[:3]
    return signers(hub).targets(grace(1), signers=[first, second, first])


def _strangers(hub: LiveHub) -> Files:
    return signers(hub).targets(grace(1), signers=[TrustSigner.generate() for _ in range(3)])


def _version(role: str, step: int) -> Callable[[LiveHub], Files]:
    def made(hub: LiveHub) -> Files:
        parties = signers(hub)
        number = parties.version(role) + step
        if role == "targets":
            return parties.targets(grace(1), version=number)
        return parties.member(role.removeprefix("member-"), revoking(8, 9), version=number)

    return made


def _tampered(hub: LiveHub) -> Files:
    files = signers(hub).member("tn", revoking(7))
    return {n: d + b" " if n.startswith("targets/") else d for n, d in files.items()}


def _without(part: str) -> Callable[[LiveHub], Files]:
    def made(hub: LiveHub) -> Files:
        files = signers(hub).targets(grace(1234))
        return {name: data for name, data in files.items() if not name.startswith(part)}

    return made


def _member_alone(hub: LiveHub) -> Files:
    files = signers(hub).member("tn", revoking(7))
    return {name: data for name, data in files.items() if name.startswith("metadata/")}


def _by_another(hub: LiveHub) -> Files:
    return signers(hub).member("tn", revoking(7), signer=hub.member_signers["dz"])


def _by_a_governor(hub: LiveHub) -> Files:
    return signers(hub).member("tn", revoking(7), signer=hub.governors[0])


def _own_functions(hub: LiveHub) -> Files:
    file = load_json(dump_json(in_force(hub).members["tn"]), 10**7)
    file["desks"]["main"]["functions"] = ["auditor"]
    return crafted_member(hub, "tn", dump_json(file), _next(hub, "tn"))


def _of_another_member(hub: LiveHub) -> Files:
    return crafted_member(hub, "tn", dump_json(in_force(hub).members["dz"]), _next(hub, "tn"))


def _next(hub: LiveHub, member: str) -> int:
    return in_force(hub).versions[f"member-{member}"] + 1


def _renamed(hub: LiveHub) -> Files:
    number = _next(hub, "tn")
    files = signers(hub).member("tn", revoking(7), version=number + 1)
    old, new = (f"metadata/{n}.member-tn.json" for n in (number + 1, number))
    return {new if name == old else name: data for name, data in files.items()}


def _of_nobody(hub: LiveHub) -> Files:
    file = in_force(hub).members["tn"].model_copy(update={"member": "zz"})
    return {
        name.replace("member-tn", "member-zz").replace(".tn.", ".zz."): data
        for name, data in crafted_member(hub, "tn", dump_json(file), 1).items()
    }


def _with_more(hub: LiveHub) -> Files:
    other = crafted_member(hub, "dz", b"{}")
    target = {n: d for n, d in other.items() if n.startswith("targets/")}
    return signers(hub).member("tn", revoking(7)) | target


def _two_roots(hub: LiveHub) -> Files:
    mine = hub.governors
    return root(hub, mine, mine[:3]) | root(hub, mine, mine[:3], 3)


def _omitted(hub: LiveHub) -> Files:
    return undelegated(hub, grace(999), "td")


def _key_of_another(hub: LiveHub) -> Files:
    file = in_force(hub).members["tn"]
    desk = file.desks["main"].model_copy(update={"request": hub.desks["ly/main"].request.public})
    taken = file.model_copy(update={"desks": {**file.desks, "main": desk}})
    return crafted_member(hub, "tn", dump_json(taken), _next(hub, "tn"))


REFUSED: dict[str, tuple[Callable[[LiveHub], Files], str]] = {
    "two of five governors": (_two_of, "targets is not signed as it must be"),
    "one governor twice": (_same_governor_twice, "targets is not signed as it must be"),
    "strangers": (_strangers, "targets is not signed as it must be"),
    "the version in force with other bytes": (_version("targets", 0), "with other bytes"),
    "a council that jumps": (_version("targets", 2), "does not follow version"),
    "a council that jumps far": (_version("targets", 2**52), "does not follow version"),
    "a member's version in force": (_version("member-ly", 0), "with other bytes"),
    "a member that jumps": (_version("member-ly", 2), "does not follow version"),
    "a tampered file": (_tampered, "named after other bytes"),
    "a council without its file": (_without("targets/"), "is missing"),
    "files without their council": (_without("metadata/"), "is no part of the directory"),
    "a member's metadata alone": (_member_alone, "is missing"),
    "another member's key": (_by_another, "member-tn is not signed as it must be"),
    "a governor for a member": (_by_a_governor, "member-tn is not signed as it must be"),
    "a member that grants itself functions": (_own_functions, "members/tn.json is not well-formed"),
    "another member's file": (_of_another_member, "is the file of dz"),
    "metadata under another version": (_renamed, "has the version"),
    "a member of whom nobody knows": (_of_nobody, "is no part of the directory"),
    "a file too many": (_with_more, "is no part of the directory"),
    "two roots at once": (_two_roots, "root version 3 does not follow version 1"),
    "a root of too few predecessors": (
        lambda hub: root(hub, [TrustSigner.generate() for _ in range(5)], hub.governors[:2]),
        "root is not signed as it must be",
    ),
    "a root with another online key": (
        lambda hub: root(hub, hub.governors, hub.governors[:3], online=bytes([7]) * 32),
        "snapshot is not signed as it must be",
    ),
    "a member's file that has lapsed": (
        lambda hub: signers(hub).member("tn", revoking(7), expires=now()),
        "member-tn lapsed at",
    ),
    "a member left out": (_omitted, "the files of td are omitted"),
    "another member's request key": (_key_of_another, "have a key in common"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_readers_would_call_void_is_refused(hub: LiveHub, case: str) -> None:
    """It says what is wrong; nothing is stored or logged, and the directory in force stays."""
    make, why = REFUSED[case]
    before, ref = rows(hub), hub.directory_ref
    problem = refused(hub, make(hub))
    assert (problem.word, why in problem.detail) == ("publication", True), problem.detail
    assert (rows(hub), hub.directory_ref) == (before, ref)


@pytest.mark.parametrize(
    "name",
    [
        "metadata/9.snapshot.json",
        "metadata/timestamp.json",
        "metadata/02.targets.json",
        "metadata/9999999999999999.root.json",
        "metadata/targets.json",
        "metadata/2.member-ly.json/x",
        "metadata/2.garbage.json",
        "metadata/x/../2.targets.json",
        "targets/council.json",
        f"targets/{'0' * 64}.council.json",
        f"targets/members/x/{'0' * 64}.ly.json",
    ],
)
def test_names_that_are_none(hub: LiveHub, name: str) -> None:
    """Neither the hub's own files nor what is named after other bytes is taken, beside good ones either."""
    before = rows(hub)
    good = signers(hub).member("tn", revoking(7))
    for files in ({name: b"{}"}, {**good, name: b"{}"}):
        problem = refused(hub, files)
        assert problem.word == "publication"
        own = "snapshot" in name or "timestamp" in name
        assert ("the hub's to sign" in problem.detail) == own
    assert rows(hub) == before


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"exchange": "elsewhere"}, "wrong-exchange"),
        ({"files": {}}, "schema-violation"),
        ({"files": {"nonsense": "e30="}}, "schema-violation"),
        ({"files": {"metadata/2.targets.json": "e30"}}, "schema-violation"),
        (
            {"files": {f"metadata/{n}.root.json": "e30=" for n in range(1, 1026)}},
            "schema-violation",
        ),
        ({"snapshot": "mine"}, "schema-violation"),
        ({"v": True}, "schema-violation"),
    ],
)
def test_bodies_that_are_no_publication(
    hub: LiveHub, change: dict[str, object], expected: str
) -> None:
    """Its form is looked at before anything else."""
    plain = {"v": 1, "exchange": "tripoli-test", "files": {"metadata/2.targets.json": "e30="}}
    with http(hub) as client:
        answer = send_raw(client, hub, "tn/main", "PUT", PUBLICATION, dump_json(plain | change))
        assert word(answer) == expected


def test_who_is_no_member_publishes_nothing(hub: LiveHub) -> None:
    """A stranger is turned away before the hub reads what may be so large; so is who signs another body."""
    data = dump_json(publication(signers(hub).member("tn", revoking(7))))
    before = rows(hub)
    with http(hub) as client:
        assert word(client.put(PUBLICATION, content=data)) == "signature-missing"
        stolen = signature(hub, "tn/main", "PUT", PUBLICATION, data)
        assert (
            word(client.put(PUBLICATION, content=data + b" ", headers=stolen)) == "content-digest"
        )
        assert word(client.put(PUBLICATION, content=data, headers=stolen)) == "nonce-replayed"
        bodiless = signature(hub, "tn/main", "PUT", PUBLICATION)
        assert (
            word(client.put(PUBLICATION, content=data, headers=bodiless)) == "signature-components"
        )
        huge = b"0" * (PUBLICATION_BYTES_MAX + 1)
        assert word(send_raw(client, hub, "tn/main", "PUT", PUBLICATION, huge)) == "too-large"
        assert word(client.put(PUBLICATION, content=huge)) == "signature-missing"
    assert rows(hub) == before
