"""How fresh the directory is, and what waits because of it, as the agency interface says it.

May import pydantic, `schemas` and the node's own rooms; `service` fills the views, `views` shows them within
others. What a person must know stands there in the three languages of the exchange.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Row

from broker.node.alarms.titles import Said
from broker.node.clock import from_seconds
from broker.node.freshness import Freshness, Standing
from broker.node.outbox.holding import REASON, UNSENT, URGENT, Confirmation
from broker.node.outbox.state import DeliveryState
from schemas.scalars import Count, DeskId, Message, UtcTime, Uuid7, Word, format_time


class WordsView(Message):
    """A sentence for people, in three languages."""

    ar: str
    fr: str
    en: str


class FreshnessView(Message):
    """How fresh the directory in force is, by which this node seals and decides.

    `verified` is when it was last found to be the newest (absent: never), `age_seconds` how long ago.
    `standing`: `fresh`; `stale`, which keeps nothing from leaving; `over-grace`, which does. `words` are
    there unless it is fresh.
    """

    standing: Standing
    verified: UtcTime | None = None
    age_seconds: Count | None = None
    council_expires: UtcTime
    words: WordsView | None = None


class Needs(StrEnum):
    """What lets a held bulletin leave."""

    FRESH_DIRECTORY = "fresh-directory"
    """Nothing else: it leaves by itself then."""
    CONFIRMATION = "confirmation"
    """That, or a person's confirmation before."""


class HeldView(Message):
    """Why a bulletin does not leave: the problem's word, what it needs, since when it was held."""

    reason: Word
    needs: Needs
    since: UtcTime | None = None
    words: WordsView


class ConfirmationView(Message):
    """A person let the bulletin leave though the directory was over the grace.

    `by` is who, as the holder of the token (`token`, `token_id`) named them; `directory_verified` is when the
    directory had last been verified (absent: never); from `ended` on, the directory being fresh, it counts no
    more.
    """

    by: str
    token: str
    token_id: str
    at: UtcTime
    directory_verified: UtcTime | None = None
    ended: UtcTime | None = None


class ConfirmedView(Message):
    """A bulletin that leaves now, and the confirmation that is kept."""

    id: Uuid7
    desk: DeskId
    confirmation: ConfirmationView


_STALE: Final = Said(
    "The directory was last verified {at}: keys and access rules may have changed since.",
    "L'annuaire a été vérifié pour la dernière fois le {at} : clés et règles d'accès ont pu changer.",
    "آخر تحقق من الدليل كان في {at}: ربما تغيرت المفاتيح وقواعد الوصول منذ ذلك.",
)
_OVER_GRACE: Final = Said(
    "The directory was last verified {at}, longer ago than the council allows.",
    "L'annuaire a été vérifié pour la dernière fois le {at} : au-delà du délai admis par le conseil.",
    "آخر تحقق من الدليل كان في {at}، أي قبل أكثر مما يسمح به المجلس.",
)
_NEVER: Final = Said(
    "The directory was never verified as the newest.",
    "L'annuaire n'a jamais été vérifié comme étant le plus récent.",
    "لم يُتحقق قط من أن الدليل هو الأحدث.",
)
_EXPIRED: Final = Said(
    "The council's directory expired {at}.",
    "L'annuaire du conseil a expiré le {at}.",
    "انتهت صلاحية دليل المجلس في {at}.",
)
_NEEDS: Final = {
    Needs.FRESH_DIRECTORY: Said(
        "This bulletin waits in the outbox. It leaves by itself once the directory is fresh again.",
        "Ce bulletin attend au départ. Il partira de lui-même dès que l'annuaire sera à jour.",
        "تنتظر هذه النشرة في صندوق الصادر، وتخرج تلقائيا متى تجدد الدليل.",
    ),
    Needs.CONFIRMATION: Said(
        "This bulletin leaves once a person confirms it: `barid bulletin confirm`.",
        "Ce bulletin partira dès qu'une personne l'aura confirmé : `barid bulletin confirm`.",
        "تخرج هذه النشرة متى أكدها شخص: `barid bulletin confirm`.",
    ),
}


def freshness_view(freshness: Freshness) -> FreshnessView:
    """Show how fresh the directory is."""
    age = freshness.age
    return FreshnessView(
        standing=freshness.standing,
        verified=freshness.verified,
        age_seconds=None if age is None else int(age.total_seconds()),
        council_expires=freshness.council_expires,
        words=None if freshness.standing is Standing.FRESH else _words(freshness),
    )


def _words(freshness: Freshness) -> WordsView:
    if freshness.council_expired:
        return _said(_EXPIRED, format_time(freshness.council_expires))
    if freshness.verified is None:
        return _said(_NEVER)
    said = _OVER_GRACE if freshness.over_grace else _STALE
    return _said(said, format_time(freshness.verified))


def held_view(
    row: Row[Any],
    states: Sequence[DeliveryState],
    confirmations: Sequence[Confirmation],
    freshness: Freshness,
) -> HeldView | None:
    """Say why an own bulletin does not leave; None where age of the directory does not keep it.

    Args:
        row: of `outgoing_bulletin`.
        states: of its deliveries.
        confirmations: of it.
        freshness: now.
    """
    if not freshness.over_grace or row.withdrawn is not None or not set(UNSENT) & set(states):
        return None
    urgent = row.precedence in URGENT
    if urgent and any(each.ended is None for each in confirmations):
        return None
    needs = Needs.CONFIRMATION if urgent else Needs.FRESH_DIRECTORY
    since = None if row.held is None else from_seconds(row.held)
    return HeldView(reason=REASON, needs=needs, since=since, words=_said(_NEEDS[needs]))


def confirmation_view(confirmation: Confirmation) -> ConfirmationView:
    """Show a confirmation."""
    return ConfirmationView(
        by=confirmation.by,
        token=confirmation.token_name,
        token_id=confirmation.token_id,
        at=confirmation.at,
        directory_verified=confirmation.directory_verified,
        ended=confirmation.ended,
    )


def _said(said: Said, at: str = "") -> WordsView:
    return WordsView(ar=said.ar.format(at=at), fr=said.fr.format(at=at), en=said.en.format(at=at))
