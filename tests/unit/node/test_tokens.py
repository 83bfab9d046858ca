"""Tokens: for one desk and its actions, shown once, kept hashed, worthless when revoked."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from broker.db import reading, writing
from broker.node import tables
from broker.node.api.tokens import (
    Action,
    Token,
    authorise,
    create_token,
    find_token,
    list_tokens,
    revoke_token,
)
from broker.node.home import Home
from schemas.errors import ConfigurationError, Problem
from tests.unit.node.world import at


def made(home: Home, *actions: Action) -> tuple[Token, str]:
    """A token of ly/main."""
    with writing(home.engine) as connection:
        return create_token(connection, "ly/main", actions, "customs web form", at())


def test_a_token_is_found_by_its_text(ly: Home) -> None:
    """And by no other."""
    token, text = made(ly, Action.SEND)
    with reading(ly.engine) as connection:
        assert find_token(connection, text) == token


@pytest.mark.parametrize("change", [lambda t: t[:-1], lambda t: t + "A", lambda _: "", str.upper])
def test_another_text_is_no_token(ly: Home, change: object) -> None:
    """Truncated, prolonged, empty, in another case."""
    _, text = made(ly, Action.SEND)
    with reading(ly.engine) as connection, pytest.raises(Problem) as caught:
        find_token(connection, change(text))  # type: ignore[operator]
    assert caught.value.word == "token-missing"


def test_the_hash_of_a_token_is_no_token(ly: Home) -> None:
    """Whoever reads the table cannot call."""
    made(ly, Action.SEND)
    with reading(ly.engine) as connection:
        stored = connection.execute(select(tables.token.c.sha256)).scalar_one()
        with pytest.raises(Problem):
            find_token(connection, stored)
        with pytest.raises(Problem):
            find_token(connection, f"barid_{stored}")


def test_the_text_is_not_stored(ly: Home) -> None:
    """Only its SHA-256 is."""
    _, text = made(ly, Action.SEND)
    with reading(ly.engine) as connection:
        [row] = connection.execute(select(tables.token))
    assert text not in str(tuple(row))
    assert text.removeprefix("barid_") not in str(tuple(row))


def test_two_tokens_differ(ly: Home) -> None:
    """Each is drawn anew, 32 bytes."""
    texts = {made(ly, Action.READ)[1] for _ in range(5)}
    assert len(texts) == 5
    assert {len(text) for text in texts} == {len("barid_") + 43}


@pytest.mark.parametrize(
    ("desk", "action"),
    [("ly/main", Action.READ), ("ly/judicial", Action.SEND), ("tn/main", Action.SEND)],
)
def test_a_token_covers_its_desk_and_actions_alone(ly: Home, desk: str, action: Action) -> None:
    """Scope is desk and action."""
    token, _ = made(ly, Action.SEND)
    authorise(token, "ly/main", Action.SEND)
    with pytest.raises(Problem) as caught:
        authorise(token, desk, action)
    assert caught.value.word == "token-scope"


def test_a_revoked_token_is_worthless_at_once(ly: Home) -> None:
    """It stays in the list with its time; revoking again changes nothing."""
    token, text = made(ly, Action.READ, Action.SEND)
    for minutes in (1, 2):
        with writing(ly.engine) as connection:
            revoke_token(connection, token.token_id, at(minutes=minutes))
    with reading(ly.engine) as connection:
        with pytest.raises(Problem):
            find_token(connection, text)
        [listed] = list_tokens(connection)
    assert (listed.revoked, listed.actions) == (at(minutes=1), (Action.READ, Action.SEND))


def test_a_token_that_is_not_there_cannot_be_revoked(ly: Home) -> None:
    """The administrator is told where to look."""
    with writing(ly.engine) as connection, pytest.raises(ConfigurationError, match="token list"):
        revoke_token(connection, "000000000000", at())


@pytest.mark.parametrize(
    ("actions", "name"), [((), "x"), ((Action.SEND,), ""), ((Action.SEND,), "x" * 101)]
)
def test_a_token_without_action_or_name_is_not_made(
    ly: Home, actions: tuple[Action, ...], name: str
) -> None:
    """Every token says what it is for."""
    with writing(ly.engine) as connection, pytest.raises(ConfigurationError):
        create_token(connection, "ly/main", actions, name, at())
