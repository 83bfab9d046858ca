"""The transparency log: a Merkle tree (RFC 6962, RFC 9162), tiles, notes and checkpoints (C2SP).

May import `schemas`, PyNaCl and `cryptography`; no I/O and no clock, storage is a callable that is
passed in. The hub sequences with it, nodes and auditors verify with it.
"""
