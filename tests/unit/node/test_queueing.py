"""Taking a bulletin in: validated, resolved, permitted, stored once; or refused with the rule named."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from broker.db import reading
from broker.node import tables
from broker.node.home import Home
from broker.node.outbox.checking import Order, check
from broker.node.outbox.drafts import outgoing_of
from broker.node.outbox.queueing import Queued, queue
from broker.node.outbox.state import DeliveryState
from keys.release import draft_release, sign_release
from schemas.bulletin.vocabularies import Precedence
from schemas.errors import ParseError, Problem
from tests.unit.node.world import NodeWorld, document, new_id


def order(content: bytes | None = None, **changed: Any) -> Order:
    """An order of ly/main to tn/main."""
    fields: dict[str, Any] = {
        "desk": "ly/main",
        "document": content or document("ly/main"),
        "to": ("tn/main",),
    }
    return Order(**(fields | changed))


def rows(home: Home) -> int:
    """How many bulletins the outbox holds."""
    with reading(home.engine) as connection:
        count = select(func.count()).select_from(tables.outgoing_bulletin)
        return connection.execute(count).scalar_one()


def refusal(home: Home, world: NodeWorld, wrong: Order) -> Problem:
    """Why an order is refused; nothing may be stored."""
    with pytest.raises(Problem) as caught:
        queue(home, wrong, world.newest, world.now)
    assert rows(home) == 0
    return caught.value


def test_a_bulletin_is_queued_for_each_recipient(world: NodeWorld, ly: Home) -> None:
    """It stands in the outbox, queued, with the exact bytes."""
    content = document("ly/main")
    queued = queue(ly, order(content, to=("tn/main", "dz/main")), world.newest, world.now)
    states = {"dz/main": DeliveryState.QUEUED, "tn/main": DeliveryState.QUEUED}
    assert queued.deliveries == states
    with reading(ly.engine) as connection:
        stored = connection.execute(select(tables.outgoing_bulletin.c.document)).scalar_one()
    assert stored == content


def test_the_same_again_is_answered_alike(world: NodeWorld, ly: Home) -> None:
    """Posting twice is harmless: one bulletin, one salt."""
    asked = order()
    first = queue(ly, asked, world.newest, world.now)
    again = queue(ly, asked, world.newest, world.now + timedelta(hours=1))
    assert again == Queued(first.bulletin_id, first.deliveries, new=False)
    assert rows(ly) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"to": ("dz/main",)},
        {"precedence": Precedence.FLASH},
        {"groups": ("sahel",)},
    ],
)
def test_the_same_bulletin_with_other_wishes_is_refused(
    world: NodeWorld, ly: Home, changed: dict[str, Any]
) -> None:
    """One bulletin has one set of recipients and one precedence."""
    content = document("ly/main")
    queue(ly, order(content), world.newest, world.now)
    with pytest.raises(Problem) as caught:
        queue(ly, order(content, **changed), world.newest, world.now)
    assert caught.value.word == "id-taken"


def test_the_same_bulletin_again_keeps_its_first_expiry(world: NodeWorld, ly: Home) -> None:
    """Who hears no answer sends again a minute later, and `7d` is then another moment: harmless."""
    content, first = document("ly/main"), world.now + timedelta(days=7)
    queue(ly, order(content, expires=first), world.newest, world.now)
    again = order(content, expires=first + timedelta(minutes=1))
    assert not queue(ly, again, world.newest, world.now).new
    with reading(ly.engine) as connection:
        kept = connection.execute(select(tables.outgoing_bulletin.c.expires)).scalar_one()
    assert kept == int(first.timestamp())


def test_another_content_under_the_same_id_is_refused(world: NodeWorld, ly: Home) -> None:
    """An id is used for one content."""
    bulletin_id = new_id()
    queue(ly, order(document("ly/main", bulletin_id)), world.newest, world.now)
    other = order(document("ly/main", bulletin_id, personal_data=True))
    with pytest.raises(Problem) as caught:
        queue(ly, other, world.newest, world.now)
    assert caught.value.word == "id-taken"


def test_a_forbidden_recipient_is_refused_with_the_rule(world: NodeWorld, ly: Home) -> None:
    """One forbidden recipient refuses the whole, and nothing is queued for anybody."""
    marking = {
        "tlp": "amber",
        "classification": "restricted",
        "caveats": ["release_to"],
        "release_to": ["tn"],
    }
    content = document("ly/main", marking=marking)
    problem = refusal(ly, world, order(content, to=("tn/main", "dz/main")))
    assert problem.word == "access-denied"
    assert problem.extensions == {"desk": "dz/main", "policies": ["release-to-listed-members-only"]}


def test_check_tells_every_decision_and_stores_nothing(world: NodeWorld, ly: Home) -> None:
    """An agency can ask before it sends."""
    asked = order(
        document(
            "ly/main",
            marking={
                "tlp": "red",
                "classification": "secret",
                "caveats": ["judicial_only"],
            },
        ),
        to=("tn/main", "tn/judicial"),
    )
    with reading(ly.engine) as connection:
        checked = check(connection, asked, world.newest, world.now)
    assert {desk: decision.allowed for desk, decision in checked.decisions.items()} == {
        "tn/judicial": False,
        "tn/main": False,
    }
    assert rows(ly) == 0


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"to": ()}, "bad-parameter"),
        ({"to": ("ly/main",)}, "bad-parameter"),
        ({"to": ("xx/main",)}, "unknown-recipient"),
        ({"to": ("auc/audit",)}, "unknown-recipient"),
        ({"to": (), "groups": ("nowhere",)}, "unknown-recipient"),
        ({"content": document("tn/main")}, "schema-violation"),
    ],
)
def test_a_wrong_order_is_refused(
    world: NodeWorld, ly: Home, wrong: dict[str, Any], word: str
) -> None:
    """An empty list never means everyone, and nobody writes to himself or as another."""
    assert refusal(ly, world, order(wrong.pop("content", None), **wrong)).word == word


@pytest.mark.parametrize("days", [-1, 0, 31])
def test_expires_lies_ahead_and_within_30_days(world: NodeWorld, ly: Home, days: int) -> None:
    """An envelope lives at most 30 days."""
    wrong = order(expires=world.now + timedelta(days=days))
    assert refusal(ly, world, wrong).word == "bad-parameter"


def test_a_bulletin_that_breaks_its_schema_names_path_and_rule(world: NodeWorld, ly: Home) -> None:
    """The error names the member, and nothing is stored."""
    with pytest.raises(ParseError) as caught:
        queue(ly, order(document("ly/main", topics=[])), world.newest, world.now)
    assert [error.path for error in caught.value.errors] == ["$.topics"]
    assert rows(ly) == 0


def test_attachments_are_uploaded_first(world: NodeWorld, ly: Home) -> None:
    """A bulletin whose attachments are not here is not queued; the refusal names them."""
    attachment = {
        "id": new_id(),
        "name": "a.pdf",
        "media_type": "application/pdf",
        "size": 1,
        "sha256": "0" * 64,
    }
    content = document("ly/main", attachments=[attachment])
    problem = refusal(ly, world, order(content))
    assert (problem.word, problem.extensions["missing"]) == (
        "attachments-missing",
        [attachment["id"]],
    )
    assert rows(ly) == 0


def test_a_group_stands_for_its_main_desks(world: NodeWorld, ly: Home) -> None:
    """The group's name does not travel; its members' main desks do, without the sender's."""
    group = next(name for name, g in world.council.groups.items() if "ly" in g.members)
    members = set(world.council.groups[group].members) - {"ly"}
    queued = queue(ly, order(to=(), groups=(group,)), world.newest, world.now)
    assert set(queued.deliveries) == {f"{m}/main" for m in members if f"{m}/main" in world.desks}


def test_without_a_directory_nothing_is_taken(world: NodeWorld, ly: Home) -> None:
    """A node that has never read the directory cannot tell who anybody is."""
    with pytest.raises(Problem) as caught:
        queue(ly, order(), world.empty_history().newest, world.now)
    assert caught.value.word == "busy"


class TestRelease:
    """A desk whose people must release: its node cannot send alone."""

    @pytest.fixture(autouse=True)
    def demand(self, world: NodeWorld) -> None:
        """ly/main demands two releasers."""
        keys = world.make_desk(releasers=2)
        self.people = keys.release
        declared = (
            world.member_files["ly"]
            .desks["main"]
            .model_copy(
                update={
                    "release": tuple(person.public for person in keys.release),
                    "release_threshold": 2,
                }
            )
        )
        world.change_member(
            "ly", lambda file: file.model_copy(update={"desks": {**file.desks, "main": declared}})
        )
        world.publish()

    def released(self, world: NodeWorld, people: int, desk: str = "tn/main") -> Order:
        """An order to tn/main, with a release to a desk by so many people."""
        content, expires = document("ly/main"), world.now + timedelta(days=7)
        outgoing = outgoing_of(content, Precedence.ROUTINE, expires, bytes(32))
        draft = draft_release(outgoing, world.exchange, (desk,), world.now)
        statement = sign_release(draft.release, self.people[:people])
        return order(content, expires=expires, release=statement, release_salts=draft.salts)

    def test_without_a_release_nothing_is_queued(self, world: NodeWorld, ly: Home) -> None:
        """The demand of the directory in force counts: the bulletin waits for its people."""
        queued = queue(ly, order(), world.newest, world.now)
        assert queued.deliveries == {"tn/main": DeliveryState.UNRELEASED}

    def test_one_of_two_people_is_not_enough(self, world: NodeWorld, ly: Home) -> None:
        """Four eyes are four."""
        wrong = self.released(world, 1)
        assert refusal(ly, world, wrong).word == "not-released"

    def test_a_release_for_others_is_refused(self, world: NodeWorld, ly: Home) -> None:
        """What was released to one desk does not go to another."""
        wrong = self.released(world, 2, "dz/main")
        assert refusal(ly, world, wrong).word == "release-differs"

    def test_a_release_by_two_people_is_taken(self, world: NodeWorld, ly: Home) -> None:
        """Then the bulletin is queued with its release."""
        asked = self.released(world, 2)
        assert queue(ly, asked, world.newest, world.now).new
        with reading(ly.engine) as connection:
            kept = connection.execute(select(tables.outgoing_bulletin.c.release)).scalar_one()
        assert kept is not None


def test_the_salt_is_drawn_once_and_stored(
    world: NodeWorld, ly: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content hash stays the same in all envelopes."""
    drawn = secrets.token_bytes(32)
    monkeypatch.setattr("broker.node.outbox.queueing.secrets.token_bytes", lambda _size: drawn)
    queue(ly, order(), world.newest, world.now)
    with reading(ly.engine) as connection:
        salt = connection.execute(select(tables.outgoing_bulletin.c.content_salt)).scalar_one()
    assert salt == drawn
