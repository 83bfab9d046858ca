"""Padmé: the sizes that sealed content is filled up to.

May import nothing of Barid; `keys.content` fills and checks with it.
"""

from __future__ import annotations


def padme(size_bytes: int) -> int:
    """The padded size in bytes of `size_bytes` bytes: at most 12 % more, and few sizes tell apart.

    Padmé (Nikitin and others, "Reducing Metadata Leakage from Encrypted Files and Communication
    with PURBs", 2019) keeps about log2(log2 n) leading bits of the size; below 2 the size itself.
    """
    if size_bytes <= 1:
        return size_bytes
    exponent = size_bytes.bit_length() - 1
    kept_bits = exponent.bit_length()
    mask = (1 << (exponent - kept_bits)) - 1
    return (size_bytes + mask) & ~mask
