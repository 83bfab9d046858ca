"""What a member decides alone, on machines without a network: joining, adding desks, revoking, renewing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from broker.cli.exits import Exit
from broker.node.home import look_home
from tests.unit.cli.founding import (
    THRESHOLD,
    Barid,
    directory_file,
    fingerprint,
    make_keys,
    run,
    sign,
)

pytestmark = pytest.mark.usefixtures("_cheap_keystores")

PEOPLE = ("amal", "omar", "sami")
PASSPHRASE = b"a passphrase of tests"


def invitation(founded: Path) -> list[object]:
    """The option that names the invitation."""
    return ["--invitation", founded / "trust" / "invitation.json"]


def source(founded: Path) -> list[object]:
    """The directory in force, on a machine without a network."""
    return ["--directory", directory_file(founded), *invitation(founded)]


def enrol(barid: Barid, founded: Path, name: str, member: str, *units: str) -> Path:
    """A node that is invited; gives its desk request."""
    desks = [word for unit in units for word in ("--desk", unit)]
    data = founded / name
    run(barid, "node", "enrol", "--data", data, *invitation(founded), "--member", member, *desks)
    return data / "desk-request.json"


def load(barid: Barid, founded: Path, publication: Path) -> None:
    """Have the hub's operator publish a file, and the directory file made anew."""
    run(barid, "hub", "load", "--data", founded / "hub", publication)
    directory_file(founded)


@pytest.fixture
def joined(founded: Path, barid: Barid) -> Path:
    """Niger has joined with a main desk; two of its three people sign."""
    request = enrol(barid, founded, "ne", "ne", "main")
    keys = make_keys(barid, founded / "people", PEOPLE)
    named = [word for key in keys for word in ("--key", key)]
    asked = founded / "asked"
    run(
        barid,
        *("member", "request", "--desk-request", request, *named, "--threshold", 2),
        *("--out", asked),
    )
    proposal = founded / "proposal.json"
    run(
        barid,
        *("trust", "propose", *source(founded), "--out", proposal),
        *("--request", asked / "member-request.json"),
    )
    governors = sorted((founded / "governors").iterdir())[:THRESHOLD]
    signatures = sign(barid, proposal, governors, *invitation(founded))
    out = founded / "publication.json"
    run(barid, "trust", "publish", proposal, *signatures, *invitation(founded), "--out", out)
    load(barid, founded, out)
    return founded


def people(founded: Path, *names: str) -> list[object]:
    """The `--key` options of some of Niger's people."""
    return [word for name in names for word in ("--key", founded / "people" / name)]


def shown(barid: Barid, founded: Path, member: str = "ne") -> Any:
    """The member's file as the directory has it."""
    told = run(barid, "member", "show", *source(founded), "--member", member, "--json")
    return json.loads(told)


def test_a_member_joins(joined: Path, barid: Barid) -> None:
    """Its desks and its people's keys are in the directory; nothing private has left its machines."""
    told = shown(barid, joined)
    assert (sorted(told["file"]["desks"]), told["version"], told["threshold"]) == (["main"], 1, 2)
    secrets = [joined / "ne" / "keystore", *(joined / "people" / p / "keystore" for p in PEOPLE)]
    assert all(path.is_dir() for path in secrets)
    home = look_home(joined / "ne", PASSPHRASE)
    try:
        private = [home.desks["ne/main"].node.seeds(), home.desks["ne/main"].request.seed()]
        assert "member" not in home.keystore.names()
    finally:
        home.close()
    passed = [
        joined / "ne" / "desk-request.json",
        joined / "asked" / "member-request.json",
        joined / "publication.json",
    ]
    for path in passed:
        data = path.read_bytes()
        for secret in private:
            assert secret[:32].hex().encode() not in data
            assert secret[:32] not in data


def test_a_request_is_passed_on(founded: Path, barid: Barid) -> None:
    """Who is not there signs elsewhere; the request is whole once enough have."""
    request = enrol(barid, founded, "ne", "ne", "main")
    keys = make_keys(barid, founded / "people", PEOPLE)
    out = founded / "asked"
    told = run(
        barid,
        *("member", "request", "--desk-request", request, "--key", keys[0]),
        *("--public", keys[1] / "trust-public.json", "--public", keys[2] / "trust-public.json"),
        *("--threshold", 2, "--out", out),
    )
    assert "1 more must sign" in told
    proposal = out / "proposal.json"
    digits = fingerprint(barid, proposal)
    run(
        barid,
        *("trust", "sign", proposal, "--key", keys[2], "--fingerprint", digits),
        *("--out", out / "sami.json"),
    )
    first = ("--signature", out / "proposal-signature-1.json")
    few = barid("trust", "publish", proposal, *first, "--out", out)
    assert "1 more" in few.stderr
    run(barid, "trust", "publish", proposal, *first, "--signature", out / "sami.json", "--out", out)
    assert (out / "member-request.json").exists()


def test_a_desk_is_added_by_its_member_alone(joined: Path, barid: Barid) -> None:
    """Two of three people are enough, one is not; a desk that the council grants nothing is refused."""
    request = enrol(barid, joined, "ne2", "ne", "customs")
    out = joined / "add.json"
    common = ("member", "add", *source(joined), "--desk-request", request, "--out", out)
    told = run(barid, *common, *people(joined, "amal"))
    assert "1 more must sign" in told
    out.unlink()
    run(barid, *common, *people(joined, "amal", "sami"))
    load(barid, joined, out)
    assert sorted(shown(barid, joined)["file"]["desks"]) == ["customs", "main"]
    harbour = enrol(barid, joined, "ne3", "ne", "harbour")
    refused = barid(
        *("member", "add", *source(joined), "--desk-request", harbour, "--out", joined / "x"),
        *people(joined, "amal", "sami"),
    )
    assert "the council grants ne/harbour nothing" in refused.stderr


def test_a_stolen_node_is_revoked_and_replaced(joined: Path, barid: Barid) -> None:
    """One command revokes its keys; the same keys are not added again, others are."""
    out = joined / "revoke.json"
    run(
        barid,
        *("member", "revoke", *source(joined), "--member", "ne", "--desk", "main"),
        *(*people(joined, "omar", "sami"), "--out", out),
    )
    load(barid, joined, out)
    assert len(shown(barid, joined)["file"]["revoked"]) == 2
    old = joined / "ne" / "desk-request.json"
    again = barid(
        *("member", "add", *source(joined), "--desk-request", old, "--out", joined / "x.json"),
        *people(joined, "omar", "sami"),
    )
    assert "was revoked: have its node make others" in again.stderr
    fresh = enrol(barid, joined, "ne-new", "ne", "main")
    add = joined / "add.json"
    run(
        barid,
        *("member", "add", *source(joined), "--desk-request", fresh, "--out", add),
        *people(joined, "omar", "sami"),
    )
    load(barid, joined, add)
    assert shown(barid, joined)["version"] == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--desk", "harbour"), "is no desk of its file"),
        ((), "none is named"),
    ],
)
def test_nothing_is_revoked(
    joined: Path, barid: Barid, options: tuple[str, ...], said: str
) -> None:
    """A desk that is not there, and no desk, are named as such."""
    result = barid(
        *("member", "revoke", *source(joined), "--member", "ne", *options, "--out", joined / "x"),
        *people(joined, "amal", "sami"),
    )
    assert (result.exit_code, said in result.stderr) == (Exit.CONFIGURATION, True)


def test_nobody_signs_for_another_member(joined: Path, barid: Barid) -> None:
    """Niger's people cannot change Tunisia's file, however many sign."""
    result = barid(
        *("member", "renew", *source(joined), "--member", "tn", "--out", joined / "x.json"),
        *people(joined, *PEOPLE),
    )
    assert (result.exit_code, "nothing in this proposal is for the key" in result.stderr) == (
        Exit.CONFIGURATION,
        True,
    )


def test_a_file_is_renewed(joined: Path, barid: Barid) -> None:
    """A new version lapses later; one that lapses soon is warned of, by the exit code too."""
    for days, expected in ((20, Exit.FINDINGS), (700, Exit.OK)):
        out = joined / f"renew-{days}.json"
        run(
            barid,
            *("member", "renew", *source(joined), "--member", "ne", "--days", days),
            *(*people(joined, "amal", "omar"), "--out", out),
        )
        load(barid, joined, out)
        result = barid("member", "show", *source(joined), "--member", "ne")
        assert result.exit_code == expected, result.stderr


def test_the_keys_of_a_member_change_by_the_council(joined: Path, barid: Barid) -> None:
    """Other people speak for the member once the governors have said so; the former ones no more."""
    keys = make_keys(barid, joined / "people", ("layla",))
    asked = joined / "again"
    run(
        barid,
        *("member", "request", "--desk-request", joined / "ne" / "desk-request.json"),
        *("--key", keys[0], "--threshold", 1, "--version", 2, "--out", asked),
    )
    proposal = joined / "rekey.json"
    told = run(
        barid,
        *("trust", "propose", *source(joined), "--request", asked / "member-request.json"),
        *("--out", proposal),
    )
    assert "speaks for Niger (ne) no more" in told
    governors = sorted((joined / "governors").iterdir())[:THRESHOLD]
    signatures = sign(barid, proposal, governors, *invitation(joined))
    out = joined / "rekeyed.json"
    run(barid, "trust", "publish", proposal, *signatures, *invitation(joined), "--out", out)
    load(barid, joined, out)
    assert shown(barid, joined)["threshold"] == 1
    former = barid(
        *("member", "renew", *source(joined), "--member", "ne", "--out", joined / "x.json"),
        *people(joined, "amal", "omar"),
    )
    assert former.exit_code == Exit.CONFIGURATION
