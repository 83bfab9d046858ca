"""The governors' commands on machines without a network: what is shown, signed, refused, published."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broker.cli.exits import Exit
from schemas.directory import Invitation
from schemas.limits import TRUST_FILE_BYTES_MAX
from schemas.loader import dump_json, parse
from tests.unit.cli.founding import (
    EXCHANGE,
    THRESHOLD,
    Barid,
    directory_file,
    fingerprint,
    governor_options,
    make_keys,
    run,
    sign,
)

pytestmark = pytest.mark.usefixtures("_cheap_keystores")


@pytest.fixture
def source(founded: Path) -> list[object]:
    """The directory in force, on a machine without a network."""
    invitation = founded / "trust" / "invitation.json"
    return ["--directory", directory_file(founded), "--invitation", invitation]


def invited(founded: Path) -> list[object]:
    """The option with which a governor brings the trust root."""
    return ["--invitation", founded / "trust" / "invitation.json"]


def governors(founded: Path) -> list[Path]:
    """All governors' folders."""
    return sorted((founded / "governors").iterdir())


def drafted(barid: Barid, founded: Path, source: list[object], edit: Callable[[Any], None]) -> Path:
    """A draft whose council somebody edited."""
    draft = founded / "draft"
    run(barid, "trust", "draft", *source, "--out", draft)
    council = json.loads((draft / "council.json").read_text("utf-8"))
    edit(council)
    (draft / "council.json").write_text(json.dumps(council), "utf-8")
    return draft


def proposed(barid: Barid, founded: Path, source: list[object], *options: object) -> Path:
    """A proposal of what is in force, or of a draft."""
    proposal = founded / "proposal.json"
    run(barid, "trust", "propose", *source, *options, "--out", proposal)
    return proposal


def test_a_change_is_drafted_proposed_signed_and_published(
    founded: Path, barid: Barid, source: list[object]
) -> None:
    """Three governors read it and sign; the hub's operator loads it; the status says who signed."""

    def lower(council: Any) -> None:
        council["members"]["eg"]["ceiling"]["tlp"] = "green"

    draft = drafted(barid, founded, source, lower)
    shown = run(barid, "trust", "propose", *source, "--from", draft, "--out", founded / "p.json")
    assert "Egypt (eg) now receives up to TLP:GREEN" in shown
    assert "closed: " in shown
    assert "3 of 5 governors must sign; signed: 0" in shown
    signatures = sign(barid, founded / "p.json", governors(founded)[:THRESHOLD], *invited(founded))
    out = founded / "publication.json"
    options = (*signatures, *invited(founded), "--out", out)
    run(barid, "trust", "publish", founded / "p.json", *options)
    assert "entry 1 of" in run(barid, "hub", "load", "--data", founded / "hub", out)
    directory_file(founded)
    rows = json.loads(run(barid, "trust", "status", *source, "--json"))["files"]
    assert (rows[1]["what"], rows[1]["version"], rows[1]["signed"], rows[1]["needed"]) == (
        "targets",
        "2",
        "dz, ly, ml",
        "3 of 5",
    )


def test_two_of_five_are_too_few(founded: Path, barid: Barid, source: list[object]) -> None:
    """Two signatures are shown as two, and publish nothing."""
    proposal = proposed(barid, founded, source)
    signatures = sign(barid, proposal, governors(founded)[:2], *invited(founded))
    shown = run(barid, "trust", "show", proposal, *invited(founded), *signatures)
    assert "signed: 2" in shown
    result = barid(
        "trust", "publish", proposal, *signatures, *invited(founded), "--out", founded / "p"
    )
    assert (result.exit_code, "1 more" in result.stderr) == (Exit.CONFIGURATION, True)
    assert not (founded / "p").exists()


def test_two_governors_are_replaced(founded: Path, barid: Barid, source: list[object]) -> None:
    """Old and new governors sign the root; the new ones sign from then on, and those who left no more."""
    newcomers = make_keys(barid, founded / "new", ("eg", "mr"))
    old = governors(founded)
    council = [*old[2:], *newcomers]
    proposal = founded / "rotation.json"
    shown = run(
        barid,
        *("trust", "rotate-root", *source, *governor_options(council), "--threshold", 3),
        *("--out", proposal),
    )
    assert "3 of 5 governors until now must sign" in shown
    root = invited(founded)
    signatures = sign(barid, proposal, [*old[:3], *newcomers], *root)
    out = founded / "publication.json"
    run(barid, "trust", "publish", proposal, *signatures, *root, "--out", out)
    run(barid, "hub", "load", "--data", founded / "hub", out)
    directory_file(founded)
    after = founded / "after.json"
    run(barid, "trust", "propose", *source, "--out", after)
    digits = fingerprint(barid, after, *root)
    refused = barid("trust", "sign", after, "--key", old[0], *root, "--fingerprint", digits)
    assert "nothing in this proposal is for the key" in refused.stderr
    sign(barid, after, newcomers, *root)


def test_what_should_not_be_signed_is_not(
    founded: Path, barid: Barid, source: list[object]
) -> None:
    """Rules with an error are shown, and neither proposed nor signed."""
    draft = drafted(barid, founded, source, lambda _council: None)
    rules = (draft / "policy.cedar").read_text("utf-8")
    for more, said in (
        ("permit (principal, action, resource);", "has no @id"),
        ('@id("all") permit (principal, action, resource);', "everything"),
        ('@id("a") permit (principal, action, resource) when { context.x };', "a:"),
    ):
        (draft / "policy.cedar").write_text(f"{rules}\n{more}\n", "utf-8")
        out = founded / "wrong.json"
        result = barid("trust", "propose", *source, "--from", draft, "--out", out)
        assert result.exit_code == Exit.CONFIGURATION
        assert said in result.stderr
        assert not out.exists()


def test_nobody_signs_blindly(founded: Path, barid: Barid, source: list[object]) -> None:
    """Without the digits that the others read, with wrong ones, or without a trust root: no signature."""
    proposal, key = proposed(barid, founded, source), governors(founded)[0]
    out = founded / "s.json"
    common = ("trust", "sign", proposal, "--key", key, "--out", out)
    assert "no trust root yet" in barid(*common, "--fingerprint", "00000000").stderr
    wrong = barid(*common, *invited(founded), "--fingerprint", "00000000")
    assert (wrong.exit_code, "nothing was signed" in wrong.stderr) == (Exit.CONFIGURATION, True)
    typed = barid(*common, text="nothing\n")
    assert typed.exit_code == Exit.CONFIGURATION
    assert not out.exists()
    digits = fingerprint(barid, proposal, *invited(founded))
    assert barid(*common, text=f"{digits[:4]} {digits[4:].upper()}\n").exit_code == 0
    assert out.exists()


def test_one_version_is_signed_once(founded: Path, barid: Barid, source: list[object]) -> None:
    """A second proposal of the same version is refused, unless the first was given up by all."""
    first = proposed(barid, founded, source)
    second = founded / "second.json"
    run(barid, "trust", "propose", *source, "--days", 30, "--out", second)
    key = governors(founded)[0]
    sign(barid, first, [key], *invited(founded))
    digits = fingerprint(barid, second, *invited(founded))
    common = ("trust", "sign", second, "--key", key, "--fingerprint", digits)
    again = barid(*common, "--out", founded / "a.json")
    assert "you signed another proposal of targets version 2 already" in again.stderr
    run(barid, *common, "--out", founded / "a.json", "--instead")


def test_a_record_that_was_altered_is_noticed(
    founded: Path, barid: Barid, source: list[object]
) -> None:
    """Who takes the record away from a keystore's seal is found out."""
    proposal, key = proposed(barid, founded, source), governors(founded)[0]
    (key / "signed.json").write_bytes(b'{"signed":[]}')
    digits = fingerprint(barid, proposal, *invited(founded))
    result = barid(
        *("trust", "sign", proposal, "--key", key, *invited(founded)),
        *("--fingerprint", digits, "--out", founded / "s.json"),
    )
    assert result.exit_code in {Exit.CONFIGURATION, Exit.VERIFICATION}
    assert not (founded / "s.json").exists()


TAMPERED: dict[str, Callable[[dict[str, Any]], None]] = {
    "another exchange": lambda p: p.update(exchange="another"),
    "no base": lambda p: p.pop("base"),
    "a base without a file": lambda p: p["base"]["files"].pop("metadata/1.targets.json"),
    "an older base": lambda p: p["base"]["snapshot"].update(version=9),
    "a file more": lambda p: p["signed"].update({"metadata/1.member-zz.json": "e30="}),
    "a target changed": lambda p: p["targets"].update({"policy.cedar": "Ly8="}),
    "a target more": lambda p: p["targets"].update({"members/tn.json": "e30="}),
    "a role more": lambda p: p["unsigned"].update({"member-tn": p["unsigned"]["targets"]}),
    "a member asks beside it": lambda p: p.update(joining={"keys": [], "threshold": 1}),
    "unknown fields": lambda p: p.update(more=1),
    "another version of the form": lambda p: p.update(v=2),
    "metadata that is none": lambda p: p["unsigned"].update(targets="e30="),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_an_altered_proposal_is_refused(
    founded: Path, barid: Barid, source: list[object], name: str
) -> None:
    """Whatever is altered on the way, nobody is shown it as if it could be signed."""
    proposal = proposed(barid, founded, source)
    value = json.loads(proposal.read_bytes())
    TAMPERED[name](value)
    proposal.write_text(json.dumps(value), "utf-8")
    result = barid("trust", "show", proposal, *invited(founded))
    assert result.exit_code in {Exit.CONFIGURATION, Exit.VERIFICATION}, result.stdout


def test_what_is_given_wrongly_is_a_wrong_call(
    founded: Path, barid: Barid, source: list[object]
) -> None:
    """Governors without a file, twice, or fewer than must sign; a directory without its invitation."""
    keys = governors(founded)
    hub = ("--hub", founded / "hub" / "hub.json")
    new = ("trust", "init", "--out", founded / "other", *hub)
    assert barid(*new, "--governor", "tn", "--threshold", 1).exit_code == Exit.USAGE
    assert barid(*new, *governor_options(keys[:2]), "--threshold", 3).exit_code == Exit.USAGE
    twice = [*governor_options(keys[:1]), *governor_options(keys[:1])]
    assert "each state holds one key" in barid(*new, *twice, "--threshold", 1).stderr
    assert not (founded / "other").exists()
    alone = barid("trust", "status", "--directory", source[1])
    assert (alone.exit_code, "--invitation" in alone.stderr) == (Exit.CONFIGURATION, True)


def test_who_lapses_soon_is_named(founded: Path, barid: Barid, source: list[object]) -> None:
    """Thirty days before something lapses the status warns, and its exit code says so."""
    assert barid("trust", "status", *source).exit_code == 0
    proposal = founded / "short.json"
    run(barid, "trust", "propose", *source, "--days", 29, "--out", proposal)
    signatures = sign(barid, proposal, governors(founded)[:3], *invited(founded))
    out = founded / "publication.json"
    run(barid, "trust", "publish", proposal, *signatures, *invited(founded), "--out", out)
    run(barid, "hub", "load", "--data", founded / "hub", out)
    directory_file(founded)
    status = barid("trust", "status", *source)
    assert (status.exit_code, "council and rules lapses at" in status.stderr) == (
        Exit.FINDINGS,
        True,
    )


def test_another_exchanges_invitation_is_no_root(
    founded: Path, barid: Barid, source: list[object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A governor who signed the first root does not take another one for it."""
    proposal, key = proposed(barid, founded, source), governors(founded)[0]
    other = tmp_path_factory.mktemp("other")
    run(
        barid,
        *("hub", "init", "--data", other / "hub", "--exchange", EXCHANGE),
        *("--address", "127.0.0.1:9"),
    )
    made = make_keys(barid, other / "keys", ("ly",))
    run(
        barid,
        *("trust", "init", "--out", other / "trust", "--hub", other / "hub" / "hub.json"),
        *(*governor_options(made), "--threshold", 1),
    )
    signed = sign(barid, other / "trust" / "proposal.json", made)
    run(barid, "trust", "publish", other / "trust" / "proposal.json", *signed, "--out", other)
    result = barid(
        *("trust", "sign", proposal, "--key", key, "--invitation", other / "invitation.json"),
        *("--fingerprint", "00000000"),
    )
    assert (result.exit_code, "not the one that you signed" in result.stderr) == (
        Exit.CONFIGURATION,
        True,
    )
    shutil.rmtree(other)


def test_nothing_is_made_from_a_forged_invitation(founded: Path, barid: Barid) -> None:
    """A root that its own governors did not sign is no root of trust: no node is made from it."""
    path = founded / "trust" / "invitation.json"
    read = parse(Invitation, path.read_bytes(), TRUST_FILE_BYTES_MAX)
    root = json.loads(read.root)
    root["signatures"] = root["signatures"][: THRESHOLD - 1]
    forged = read.model_copy(update={"root": json.dumps(root).encode()})
    path.write_bytes(dump_json(forged))
    result = barid(
        *("node", "enrol", "--data", founded / "ne", "--invitation", path, "--member", "ne"),
        *("--desk", "main"),
    )
    assert (result.exit_code, (founded / "ne").exists()) == (Exit.VERIFICATION, False)
