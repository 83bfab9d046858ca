"""Which of the hub's three answers about a leaf is wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from broker.audit.leaves import LeafAnswers, ServedLeaf, SettledLeaf
from broker.audit.rules import Findings, LogName
from broker.tlog.merkle import leaf_hash
from broker.tlog.receipt import exchange_leaf, exchange_leaf_data
from schemas.receipts import Opening

SALT = b"s" * 32
ENTRY = b'{"type":"envelope.accepted"}'


def _served(log: LogName) -> ServedLeaf:
    salted = log == "exchange"
    data = exchange_leaf_data(SALT, ENTRY) if salted else ENTRY
    opening = Opening(index=4, salt=SALT if salted else None, entry=ENTRY)
    return ServedLeaf(4, leaf_hash(data), data, opening)


def _rules(
    log: LogName, served: ServedLeaf, *, tiles_are_signed: bool = False
) -> tuple[SettledLeaf, list[str]]:
    findings = Findings()
    answers = LeafAnswers.of(log, served)
    settled = answers.settle(findings, tiles_are_signed=tiles_are_signed)
    assert all(finding.index == 4 and finding.log == log for finding in findings.listed)
    return settled, [finding.rule for finding in findings.listed]


@pytest.mark.parametrize("log", ["directory", "exchange"])
def test_three_answers_that_agree_open_the_leaf(log: LogName) -> None:
    """Nothing is found where tile, bundle and opening agree."""
    served = _served(log)
    settled, rules = _rules(log, served)
    assert rules == []
    assert settled.leaf == served.tile_hash
    assert settled.opened is not None
    assert settled.opened.entry == ENTRY


def test_leaf_of_the_exchange_log_is_salted() -> None:
    """The leaf hash of the exchange log is that of SHA-256(salt ‖ entry)."""
    settled, _ = _rules("exchange", _served("exchange"))
    assert settled.leaf == exchange_leaf(SALT, ENTRY)


@pytest.mark.parametrize("log", ["directory", "exchange"])
def test_the_altered_answer_is_found_alone(log: LogName) -> None:
    """One altered answer is one finding of its own rule, and the two others decide the leaf."""
    served = _served(log)
    assert served.opening is not None
    altered = {
        "tile": replace(served, tile_hash=bytes(32)),
        "bundle": replace(served, data=b"x"),
        "opening": replace(served, opening=served.opening.model_copy(update={"entry": b"{}"})),
        "opening-missing": replace(served, opening=None),
    }
    for rule, leaf in altered.items():
        settled, rules = _rules(log, leaf)
        assert rules == [rule]
        assert settled.leaf == served.tile_hash
        assert (settled.opened is None) == rule.startswith("opening")


@pytest.mark.parametrize("log", ["directory", "exchange"])
def test_signed_tiles_outvote_bundle_and_opening(log: LogName) -> None:
    """Where bundle and opening are made from one altered entry, tiles that were signed tell the truth."""
    served = _served(log)
    assert served.opening is not None
    salt = served.opening.salt
    altered = replace(
        served,
        data=b"{}" if salt is None else exchange_leaf_data(salt, b"{}"),
        opening=served.opening.model_copy(update={"entry": b"{}"}),
    )
    settled, rules = _rules(log, altered, tiles_are_signed=True)
    assert (settled, rules) == (SettledLeaf(served.tile_hash or b"", None), ["opening"])
    settled, rules = _rules(log, altered, tiles_are_signed=False)
    assert rules == ["tile"]
    assert settled.leaf != served.tile_hash


def test_dispute() -> None:
    """Answers that are there must agree; one that is missing contradicts none."""
    served = _served("exchange")
    disputed = [
        LeafAnswers.of("exchange", answer).disputed
        for answer in (
            served,
            replace(served, opening=None),
            replace(served, tile_hash=None),
            replace(served, tile_hash=bytes(32)),
            replace(served, data=b"x"),
        )
    ]
    assert disputed == [False, False, False, True, True]


def test_altered_salt_is_found() -> None:
    """Another salt does not open the leaf; so does none, or one where there should be none."""
    exchange, directory = _served("exchange"), _served("directory")
    assert exchange.opening is not None
    assert directory.opening is not None
    for log, served, salt in (
        ("exchange", exchange, bytes(32)),
        ("exchange", exchange, None),
        ("directory", directory, SALT),
    ):
        assert served.opening is not None
        opening = served.opening.model_copy(update={"salt": salt})
        _, rules = _rules(log, replace(served, opening=opening))  # type: ignore[arg-type]
        assert rules == ["opening"]


def test_leaf_that_is_not_shown_at_all() -> None:
    """A leaf that the hub does not show is settled to no real hash, and found unopened."""
    settled, rules = _rules("exchange", ServedLeaf(4, None, None, None))
    assert rules == ["opening-missing"]
    assert settled == SettledLeaf(bytes(32), None)
