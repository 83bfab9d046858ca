"""The key with which a node cosigns the hub's logs: made with the node, its public half for the governors.

May import `broker.tlog`, `keys` and `schemas`; `setup` makes it, `witnessing` signs with it.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

from broker.node.home import WITNESS_KEY_NAME
from broker.settings import write_whole
from broker.tlog.cosignature import MlDsa44CosignatureSigner
from broker.tlog.note import SEED_BYTES
from keys.keystore import Keystore
from schemas.directory import WitnessKey, WitnessKeyFile
from schemas.loader import dump_json

WITNESS_FILE: Final = "witness-public.json"


def witness_name(exchange: str, member: str) -> str:
    """The name under which a member's node cosigns."""
    return f"{exchange}/witness/{member}"


def witness_signer(keystore: Keystore, name: str) -> MlDsa44CosignatureSigner:
    """What cosigns under a name. Raises ConfigurationError where the node has no witness key."""
    return MlDsa44CosignatureSigner(name, keystore.get(WITNESS_KEY_NAME))


def make_witness_key(
    data: Path, keystore: Keystore, exchange: str, member: str, *, renew: bool = False
) -> WitnessKey:
    """Make the key with which a node cosigns, unless it has one, and write down its public half.

    Args:
        data: the node's data directory; the governors get `WITNESS_FILE` in it.
        keystore: of the node.
        exchange: the exchange's name.
        member: whose node it is.
        renew: make another one in place of the one that it has.
    """
    if renew or WITNESS_KEY_NAME not in keystore.names():
        keystore.put(WITNESS_KEY_NAME, secrets.token_bytes(SEED_BYTES))
    key = witness_key(keystore, exchange, member)
    file = WitnessKeyFile(v=1, exchange=exchange, member=member, key=key)
    write_whole(data / WITNESS_FILE, dump_json(file) + b"\n")
    return key


def witness_key(keystore: Keystore, exchange: str, member: str) -> WitnessKey:
    """The public half of a node's witness key. Raises ConfigurationError where it has none."""
    signer = witness_signer(keystore, witness_name(exchange, member))
    return WitnessKey(name=signer.key.name, ml_dsa_44=signer.key.public)
