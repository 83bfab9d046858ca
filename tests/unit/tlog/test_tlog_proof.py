"""Proof files (C2SP tlog-proof): written, read back the same, and nothing else taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.tlog.tlog_proof import TlogProof, parse_tlog_proof
from schemas.errors import ParseError

NOTE = "example.org/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n— example.org/log AAAAAAA=\n"
HEAD = "c2sp.org/tlog-proof@v1"


@given(
    st.integers(0, 2**48),
    st.lists(st.binary(min_size=32, max_size=32), max_size=10),
    st.binary(max_size=100),
)
def test_what_is_written_is_read(index: int, path: list[bytes], extra: bytes) -> None:
    """Index, path, extra data and checkpoint."""
    proof = TlogProof(index, tuple(path), NOTE, extra)
    assert parse_tlog_proof(proof.render()) == proof


def test_the_format_is_the_published_one() -> None:
    """Line by line as C2SP tlog-proof lays it out."""
    text = TlogProof(73894, (bytes(32),), NOTE, b"more").render()
    hashed = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    assert text == f"{HEAD}\nextra bW9yZQ==\nindex 73894\n{hashed}\n\n{NOTE}"
    assert TlogProof(0, (), NOTE).render() == f"{HEAD}\nindex 0\n\n{NOTE}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{HEAD}\nindex 0\n\n",
        f"{HEAD}\nindex 0\n{NOTE.replace(chr(10) * 2, chr(10))}",
        f"c2sp.org/tlog-proof@v2\nindex 0\n\n{NOTE}",
        f"{HEAD}\n\n{NOTE}",
        f"{HEAD}\nindex 00\n\n{NOTE}",
        f"{HEAD}\nindex -1\n\n{NOTE}",
        f"{HEAD}\nindex 99999999999999999999\n\n{NOTE}",
        f"{HEAD}\nindex 0\nextra bW9yZQ==\n\n{NOTE}",
        f"{HEAD}\nextra \nindex 0\n\n{NOTE}",
        f"{HEAD}\nextra bW9yZQ\nindex 0\n\n{NOTE}",
        f"{HEAD}\nindex 0\nbW9yZQ==\n\n{NOTE}",
        f"{HEAD}\nindex 0\n" + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n" * 65 + f"\n{NOTE}",
        f"{HEAD}\r\nindex 0\n\n{NOTE}",
    ],
)
def test_what_is_no_proof_is_refused(text: str) -> None:
    """Each rule of the format."""
    with pytest.raises(ParseError):
        parse_tlog_proof(text)
