"""Sealing and opening: HPKE alone, and a whole envelope for ten desks against the bare calls in it.

May import `keys` and the exchange of `world`; `__main__` calls it.
"""

from __future__ import annotations

import secrets
from dataclasses import replace

from keys.sealing import SealingPrivateKey, SealingPublicKey, open_slot, seal_slot
from keys.signing import SigningIdentity
from tests.bench.figures import Bar, Figure, Section
from tests.bench.machine import SECONDS, rate
from tests.bench.world import BenchExchange, outgoing_of
from tests.exchange.live import EXCHANGE, STATES, new_id

BAR = 1.5
_RECIPIENTS = tuple(f"{state}/{unit}" for state in STATES[:5] for unit in ("main", "judicial"))


def measure(exchange: BenchExchange, seconds: float = SECONDS) -> Section:
    """Seal a 4 KiB bulletin for ten desks; seal and open one slot."""
    private = SealingPrivateKey.generate()
    public = SealingPublicKey.from_bytes(private.public_bytes())
    identity = SigningIdentity.generate()
    content_key = secrets.token_bytes(32)
    about = {
        "envelope_id": new_id(),
        "sender": "ly/main",
        "recipient": "tn/main",
        "keyid": "0" * 64,
    }
    slot = seal_slot(content_key, public, exchange=EXCHANGE, **about)
    message = secrets.token_bytes(4096)

    def bare() -> None:
        for _ in _RECIPIENTS:
            seal_slot(content_key, public, exchange=EXCHANGE, **about)
        identity.sign(message)

    outgoing = outgoing_of(exchange.hub, "tn/main")

    def whole() -> None:
        exchange.hub.seal(replace(outgoing, bulletin_id=new_id()), *_RECIPIENTS)

    # In turns, so that what disturbs one disturbs the other.
    turns = [(rate(bare, seconds / 2), rate(whole, seconds / 2)) for _ in range(4)]
    bare_rate, whole_rate = max(b for b, _ in turns), max(w for _, w in turns)
    sealing = rate(lambda: seal_slot(content_key, public, exchange=EXCHANGE, **about), seconds)
    opening = rate(lambda: open_slot(slot, private, exchange=EXCHANGE, **about), seconds)
    return Section(
        "sealing and opening",
        (
            Figure(
                "a bulletin sealed for 10 desks, time against the bare calls",
                bare_rate / whole_rate,
                "x",
                Bar(BAR, at_most=True),
            ),
            Figure("bulletins sealed for 10 desks", whole_rate, "/s"),
            Figure("HPKE, slots sealed", sealing, "/s"),
            Figure("HPKE, slots opened", opening, "/s"),
        ),
    )
