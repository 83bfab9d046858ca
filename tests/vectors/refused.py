"""Test vectors of what must be refused: each looks right to a reader that is a little too kind.

It imports nothing of Barid; `generate_exchange.py` puts them into its file.
"""

from __future__ import annotations

import base64
import copy
import hashlib

from nacl.bindings import (
    crypto_core_ed25519_add,
    crypto_scalarmult_ed25519_base_noclamp,
)

from tests.vectors.statements import Identity, Object, b64, compact, secret, sign

ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of Ed25519's main subgroup (RFC 8032)."""

_ORDER_8 = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
"""A point of order 8."""

_IDENTITY = b"\x01" + bytes(31)
"""The neutral point: a public key under which anybody can sign."""


def _times_base(number: int) -> bytes:
    return crypto_scalarmult_ed25519_base_noclamp((number % ORDER).to_bytes(32, "little"))


def _challenge(r: bytes, public: bytes, message: bytes) -> int:
    return int.from_bytes(hashlib.sha512(r + public + message).digest(), "little") % ORDER


def _signature(private: int, public: bytes, message: bytes, extra: int = 0) -> bytes:
    nonce = int.from_bytes(secret(f"nonce {message!r}", 32), "little") % ORDER
    r = _times_base(nonce)
    s = (nonce + _challenge(r, public, message) * private) % ORDER + extra
    return r + s.to_bytes(32, "little")


def ed25519_vectors() -> list[Object]:
    """Signatures that other libraries accept."""
    private = int.from_bytes(secret("scalar", 32), "little") % ORDER
    public = _times_base(private)
    mixed = crypto_core_ed25519_add(public, _ORDER_8)
    # The challenge must not be a multiple of 8, else the part of order 8 vanishes by chance.
    messages = [f"mixed {number}".encode() for number in range(32)]
    odd = next(m for m in messages if _challenge(_signature(private, mixed, m)[:32], mixed, m) % 8)
    plain = b"canonical"
    return [
        {
            "description": "the key is of small order: S = r fits every message",
            "public": _IDENTITY.hex(),
            "message": b"anything".hex(),
            "signature": _signature(0, _IDENTITY, b"anything").hex(),
        },
        {
            "description": "S is not below the group's order",
            "public": public.hex(),
            "message": plain.hex(),
            "signature": _signature(private, public, plain, ORDER).hex(),
        },
        {
            "description": "the key has a part of order 8: only a verifier with cofactor accepts",
            "public": mixed.hex(),
            "message": odd.hex(),
            "signature": _signature(private, mixed, odd).hex(),
        },
    ]


def text_vectors() -> Object:
    """Base64 and JSON that lenient readers take."""
    return {
        "base64": ["QR==", "QQ", "QQ=", "QQ==\n", "Q Q==", "-_8=", "QQ===", "QUI==="],
        "json": [
            {"description": "a name twice", "text": '{"a":1,"a":1}'},
            {"description": "a name twice, one of them escaped", "text": '{"a":1,"\\u0061":2}'},
            {"description": "null", "text": '{"a":null}'},
            {"description": "a float", "text": '{"a":1.0}'},
            {"description": "an exponent", "text": '{"a":1e3}'},
            {"description": "beyond 2^53 - 1", "text": '{"a":9007199254740992}'},
            {"description": "not a number", "text": '{"a":NaN}'},
            {"description": "bytes behind the value", "text": '{"a":1} x'},
            {"description": "a comma at the end", "text": '{"a":1,}'},
        ],
        "time": [
            "2026-11-24T22:00:00+00:00",
            "2026-11-24T22:00:00.0Z",
            "2026-11-24t22:00:00z",
            "2026-11-24 22:00:00Z",
            "2026-11-31T22:00:00Z",
            "2026-12-31T23:59:60Z",
        ],
    }


def padding_vectors(bulletin_block: bytes, part_block: bytes, part: bytes) -> list[Object]:
    """Plaintexts of a body whose sizes or zeros are wrong."""
    spoilt = bytearray(bulletin_block)
    spoilt[-1] = 1
    beyond = (2**32 - 1).to_bytes(4, "big") + part_block[4:]
    bare = len(part).to_bytes(4, "big") + part
    cases = {
        "a byte of the padding is not zero": bytes(spoilt) + part_block,
        "the bulletin is padded by a byte too many": bulletin_block + b"\x00" + part_block,
        "the sealed part is not padded": bulletin_block + bare,
        "a length reaches beyond the end": bulletin_block + beyond,
        "a byte follows": bulletin_block + part_block + b"\x00",
    }
    return [{"description": name, "plaintext": b64(data)} for name, data in cases.items()]


def statement_vectors(kind: str, payload: Object, identity: Identity) -> list[Object]:
    """Statements on which one half of the pair is missing or wrong."""
    good = sign(kind, compact(payload), identity)
    pair = base64.b64decode(good["signatures"][0]["sig"])
    other = Identity("somebody else")
    cases = {
        "Ed25519 alone": [pair[:64]],
        "ML-DSA-65 alone": [pair[64:]],
        "each half in an entry of its own": [pair[:64], pair[64:]],
        "the ML-DSA-65 half is zeros": [pair[:64] + bytes(3309)],
        "the Ed25519 half is zeros": [bytes(64) + pair[64:]],
        "the same pair twice": [pair, pair],
    }
    found = []
    for name, signatures in cases.items():
        statement = copy.deepcopy(good)
        statement["signatures"] = [{"keyid": identity.keyid, "sig": b64(s)} for s in signatures]
        found.append({"description": name, "statement": statement})
    stranger = sign(kind, compact(payload), other)
    stranger["signatures"][0]["keyid"] = identity.keyid
    found.append({"description": "another identity under this keyid", "statement": stranger})
    return found
