"""What a member decides alone, on machines without a network: joining, adding desks, revoking, renewing."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from broker.cli.exits import Exit
from broker.node.home import look_home
from keys.signing import identity_keyid
from schemas.directory import Invitation, MemberFile
from schemas.governance import DirectoryFile
from schemas.loader import dump_json
from schemas.scalars import format_time
from tests.exchange.trust_world import TrustWorld
from tests.unit.cli.conftest import make_barid, make_keystores_cheap
from tests.unit.cli.founding import (
    EXCHANGE,
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


@pytest.fixture(scope="module")
def joined_once(founded_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Niger has joined with a main desk; two of its three people sign. Nobody writes into it."""
    folder = tmp_path_factory.mktemp("joined") / "exchange"
    shutil.copytree(founded_once, folder)
    with pytest.MonkeyPatch.context() as patch:
        make_keystores_cheap(patch)
        _join(folder, make_barid(folder, patch))
    return folder


def _join(founded: Path, barid: Barid) -> None:
    request = enrol(barid, founded, "ne", "ne", "main")
    keys = make_keys(barid, founded / "people", PEOPLE)
    named = [word for key in keys for word in ("--key", key)]
    asked = founded / "asked"
    given = ("--desk-request", request, *named, "--threshold", 2)
    run(barid, "member", "request", *given, "--out", asked)
    admit(barid, founded, asked / "member-request.json")


def admit(barid: Barid, founded: Path, request: Path) -> str:
    """The governors delegate to the keys that a member asks for; gives what they were shown."""
    proposal, out = request.with_suffix(".proposal"), request.with_suffix(".publication")
    told = run(barid, "trust", "propose", *source(founded), "--request", request, "--out", proposal)
    governors = sorted((founded / "governors").iterdir())[:THRESHOLD]
    signatures = sign(barid, proposal, governors, *invitation(founded))
    run(barid, "trust", "publish", proposal, *signatures, *invitation(founded), "--out", out)
    load(barid, founded, out)
    return told


@pytest.fixture
def joined(joined_once: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    shutil.copytree(joined_once, tmp_path, dirs_exist_ok=True)
    return tmp_path


def people(founded: Path, *names: str) -> list[object]:
    """The `--key` options of some of Niger's people."""
    return [word for name in names for word in ("--key", founded / "people" / name)]


def revoke_main(barid: Barid, founded: Path) -> None:
    """Two of Niger's people revoke its main desk, and the hub's operator loads that."""
    out = founded / "revoke.json"
    run(
        barid,
        *("member", "revoke", *source(founded), "--member", "ne", "--desk", "main"),
        *(*people(founded, "omar", "sami"), "--out", out),
    )
    load(barid, founded, out)


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
        joined / "asked" / "member-request.publication",
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
    revoke_main(barid, joined)
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
    """Others speak for it once the governors have said so, the former no more; what is revoked stays so."""
    revoke_main(barid, joined)
    before = shown(barid, joined)
    layla = make_keys(barid, joined / "people", ("layla",))[0]
    asked = joined / "again"
    given = ("--member", "ne", "--key", layla, "--threshold", 1)
    run(barid, "member", "request", *source(joined), *given, "--out", asked)
    assert "speaks for Niger (ne) no more" in admit(barid, joined, asked / "member-request.json")
    after = shown(barid, joined)
    assert (after["file"], after["version"], after["threshold"]) == (before["file"], 3, 1)
    former = barid(
        *("member", "renew", *source(joined), "--member", "ne", "--out", joined / "x.json"),
        *people(joined, "amal", "omar"),
    )
    assert former.exit_code == Exit.CONFIGURATION


def test_who_has_no_file_asks_with_its_nodes_requests(founded: Path, barid: Barid) -> None:
    """A member that takes no part yet is told what to name; so is one that names nothing."""
    (key,) = make_keys(barid, founded / "people", ("amal",))
    common = ("member", "request", "--key", key, "--threshold", 1, "--out", founded / "asked")
    for given in ((), (*source(founded), "--member", "ne")):
        result = barid(*common, *given)
        assert (result.exit_code, "--desk-request" in result.stderr) == (Exit.CONFIGURATION, True)


def test_a_file_is_edited(joined: Path, barid: Barid) -> None:
    """Names are the member's own; what is no member's file is not taken."""
    draft, out = joined / "ne.json", joined / "change.json"
    run(barid, "member", "draft", *source(joined), "--member", "ne", "--out", draft)
    file = json.loads(draft.read_text("utf-8"))
    change = ("member", "change", draft, *source(joined), *people(joined, "amal", "omar"))
    assert "is what is in force already" in barid(*change, "--out", out).stderr
    file["desks"]["main"]["names"]["en"] = "Night desk"
    draft.write_text(json.dumps(file), "utf-8")
    assert "Night desk" in run(barid, *change, "--out", out)
    load(barid, joined, out)
    assert shown(barid, joined)["file"] == file
    draft.write_text(json.dumps({"tables": file}), "utf-8")
    wrong = barid(*change, "--out", joined / "x.json")
    assert (wrong.exit_code, "is no member's file" in wrong.stderr) == (Exit.CONFIGURATION, True)


def test_who_is_elsewhere_signs_elsewhere(joined: Path, barid: Barid) -> None:
    """With no key at hand a proposal is written, to be signed by those who have one."""
    proposal, out = joined / "renew.json", joined / "renewed.json"
    renew = ("member", "renew", *source(joined), "--member", "ne")
    assert "who signs for ne?" in barid(*renew).stderr
    assert "2 more must sign" in run(barid, *renew, "--out", proposal)
    keys = [joined / "people" / name for name in ("amal", "sami")]
    signatures = sign(barid, proposal, keys, *invitation(joined))
    run(barid, "trust", "publish", proposal, *signatures, *invitation(joined), "--out", out)
    load(barid, joined, out)
    assert shown(barid, joined)["version"] == 2


def test_a_forged_directory_is_signed_by_nobody(joined: Path, barid: Barid) -> None:
    """Who has signed once keeps the trust root: what a lying node or file says later is held against it."""
    common = ("member", "renew", "--member", "ne", *people(joined, "amal", "omar"), "--out")
    run(barid, *common, joined / "renewed.json", *source(joined))
    world = TrustWorld.fresh()
    world.publish()
    assert world.published is not None
    files = {name: data for name, data in world.files.items() if "timestamp" not in name}
    root, snapshot = world.published
    forged = DirectoryFile(v=1, exchange=EXCHANGE, root=root, snapshot=snapshot, files=files)
    (joined / "forged.json").write_bytes(dump_json(forged))
    invited = Invitation(
        v=1, exchange=EXCHANGE, hub=world.hub, logs=world.logs, root=world.initial_root
    )
    (joined / "forged.invitation").write_bytes(dump_json(invited))
    lying = ("--directory", joined / "forged.json", "--invitation", joined / "forged.invitation")
    result = barid(*common, joined / "x.json", *lying)
    assert (result.exit_code, "does not descend from the trust root" in result.stderr) == (
        Exit.VERIFICATION,
        True,
    )
    assert not (joined / "x.json").exists()


def test_a_file_that_lapsed_is_signed_for_another_year(
    joined: Path, barid: Barid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A revocation in a lapsed file would carry nothing into force; and it is said that it had lapsed."""
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(days=400)
    monkeypatch.setattr("broker.cli.member.utc_now", lambda: later)
    told = barid(
        *("member", "revoke", *source(joined), "--member", "ne", "--desk", "main"),
        *(*people(joined, "amal", "omar"), "--out", joined / "revoke.json"),
    )
    assert f"holds until {format_time(later + timedelta(days=365))}" in told.stdout
    assert "The file lapsed at" in told.stderr


def test_one_persons_release_key_is_revoked(joined: Path, barid: Barid) -> None:
    """The others are told that the desk sends nothing until somebody takes that place."""
    person = joined / "person"
    run(barid, *("release", "keygen", "--out", person, "--exchange", EXCHANGE, "--name", "Nour"))
    police = joined / "ne-police"
    run(
        barid,
        *("node", "enrol", "--data", police, *invitation(joined), "--member", "ne"),
        *("--desk", "police", "--release-threshold", "police=1"),
        *("--release-key", f"police={person / 'release-public.json'}"),
    )
    add, out = joined / "add.json", joined / "revoke.json"
    signing = people(joined, "amal", "omar")
    added = ("member", "add", *source(joined), "--desk-request", police / "desk-request.json")
    run(barid, *added, *signing, "--out", add)
    load(barid, joined, add)
    desk = MemberFile.model_validate_json(json.dumps(shown(barid, joined)["file"])).desks["police"]
    result = barid(
        *("member", "revoke", *source(joined), "--member", "ne", "--out", out, *signing),
        *("--keyid", identity_keyid(EXCHANGE, desk.release[0])),
    )
    assert "too few people of ne/police are left" in result.stderr
    mistyped = barid(
        *("member", "revoke", *source(joined), "--member", "ne", "--keyid", "ab" * 32, *signing),
        *("--out", joined / "x.json"),
    )
    assert "no desk of ne has the key abab" in mistyped.stderr


def test_two_files_of_one_version_are_not_signed_without_a_word(joined: Path, barid: Barid) -> None:
    """At night nothing is refused for it; but whoever signed both is told that one of them will not count."""
    told = []
    for number, command in enumerate((("revoke", "--desk", "main"), ("renew", "--days", "300"))):
        told.append(
            run(
                barid,
                *("member", command[0], *source(joined), "--member", "ne", *command[1:]),
                *people(joined, "amal", "omar"),
                *("--out", joined / f"publication-{number}.json"),
            )
        )
    assert "you signed another proposal" not in told[0]
    assert told[1].count("you signed another proposal of member-ne version 2") == 2
