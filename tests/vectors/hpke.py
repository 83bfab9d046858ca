"""A slot of the test vectors, opened by hand.

It imports nothing of Barid; `generate_exchange.py` puts the steps into its file.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.vectors.generate_keys import SealingKey
from tests.vectors.statements import Object, b64

SUITE_ID = b"HPKE" + bytes.fromhex("647a00010002")
X_WING_LABEL = b"\\.//^\\"


def hpke_vector(key: SealingKey, slot: Object, content_key: bytes) -> Object:
    """A slot opened step by step: X-Wing's combiner, then RFC 9180's key schedule."""
    slot_bytes, info = base64.b64decode(slot["slot"]), base64.b64decode(slot["info"])
    ct_m, ct_x, sealed = slot_bytes[:1088], slot_bytes[1088:1120], slot_bytes[1120:]
    x25519 = X25519PrivateKey.from_private_bytes(key.raw[64:])
    ss_m = MLKEM768PrivateKey.from_seed_bytes(key.raw[:64]).decapsulate(ct_m)
    ss_x = x25519.exchange(X25519PublicKey.from_public_bytes(ct_x))
    shared = hashlib.sha3_256(ss_m + ss_x + ct_x + key.public[1184:] + X_WING_LABEL).digest()

    def extract(salt: bytes, label: bytes, ikm: bytes) -> bytes:
        return hmac.digest(salt or bytes(32), b"HPKE-v1" + SUITE_ID + label + ikm, "sha256")

    def expand(prk: bytes, label: bytes, context: bytes, size_bytes: int) -> bytes:
        labelled = size_bytes.to_bytes(2, "big") + b"HPKE-v1" + SUITE_ID + label + context
        return hmac.digest(prk, labelled + b"\x01", "sha256")[:size_bytes]

    context = b"\x00" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    prk = extract(shared, b"secret", b"")
    aead_key, nonce = expand(prk, b"key", context, 32), expand(prk, b"base_nonce", context, 12)
    if AESGCM(aead_key).decrypt(nonce, sealed, b"") != content_key:
        raise ValueError("the slot does not open by hand")
    return {
        "description": "shared_secret = SHA3-256(ss_m || ss_x || ct_x || pk_x || label), used by "
        "RFC 9180's key schedule as it is; all values hex but slot and info",
        "private": b64(key.raw),
        "public": b64(key.public),
        "info": b64(info),
        "slot": b64(slot_bytes),
        "ss_m": ss_m.hex(),
        "ss_x": ss_x.hex(),
        "label": X_WING_LABEL.hex(),
        "shared_secret": shared.hex(),
        "suite_id": SUITE_ID.hex(),
        "key_schedule_context": context.hex(),
        "secret": prk.hex(),
        "key": aead_key.hex(),
        "base_nonce": nonce.hex(),
        "content_key": content_key.hex(),
    }
