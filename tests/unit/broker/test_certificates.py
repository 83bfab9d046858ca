"""TLS certificates: made, tried out, renewed; one that clients would refuse never gets into use."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from broker.certificates import (
    Pair,
    current_pair,
    make_certificate,
    names_of,
    read_certificate,
    renew,
    self_signed,
    trusted_together,
    try_out,
    write_private,
)
from broker.checks import Grade, check_certificate
from schemas.errors import ConfigurationError

NOW = datetime.now(UTC).replace(microsecond=0)
NAMES = ("hub.example", "127.0.0.1")


def text_of(pair: Pair) -> str:
    """The certificate as trust."""
    return pair.certificate.decode("ascii")


class Authority:
    """One's own CA."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA of a ministry")])
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        self.certificate = (
            self._of(name, self.key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(self.key, hashes.SHA256())
        )

    def _of(self, name: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA of a ministry")]))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=90))
        )

    @property
    def trust(self) -> str:
        """Its certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, *names: str, passphrase: bytes = b"") -> Pair:
        """A server's certificate and key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        made = (
            self._of(subject, key.public_key())
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )
        sealing: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if passphrase:
            sealing = serialization.BestAvailableEncryption(passphrase)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealing
        )
        return Pair(made.public_bytes(serialization.Encoding.PEM), pem)


def test_a_certificate_of_ones_own(tmp_path: Path) -> None:
    """It is for every name, fits its key, which is for its owner alone, and clients take it."""
    certificate, key = make_certificate(tmp_path, NAMES, NOW)
    assert key.stat().st_mode & 0o777 == 0o600
    assert sorted(names_of(read_certificate(certificate.read_bytes()))) == sorted(NAMES)
    for name in NAMES:
        try_out(current_pair(tmp_path), certificate.read_text("ascii"), name)


@pytest.mark.parametrize(
    ("name", "lived", "why"),
    [
        ("other.example", timedelta(0), "mismatch"),
        ("hub.example", timedelta(days=398), "expired"),
        ("hub.example", timedelta(days=-1), "not yet valid"),
    ],
    ids=["another name", "too old", "too young"],
)
def test_what_clients_refuse(name: str, lived: timedelta, why: str) -> None:
    """A name that it is not for, and a time in which it is not valid, are told in words."""
    pair = self_signed(NAMES, NOW - lived)
    with pytest.raises(ConfigurationError, match=why):
        try_out(pair, text_of(pair), name)


def test_trust_in_another(tmp_path: Path) -> None:
    """Who trusts another certificate of the same names does not take this one."""
    pair, other = self_signed(NAMES, NOW), self_signed(NAMES, NOW)
    with pytest.raises(ConfigurationError, match="refuses it: self-signed certificate"):
        try_out(pair, text_of(other), "hub.example")


def test_a_key_of_another_certificate() -> None:
    """Key and certificate belong together; a key that is encrypted asks nobody at the terminal."""
    authority = Authority()
    pair, other = self_signed(NAMES, NOW), self_signed(NAMES, NOW)
    with pytest.raises(ConfigurationError, match="belong together"):
        try_out(Pair(pair.certificate, other.key), text_of(pair), "hub.example")
    with pytest.raises(ConfigurationError, match="encrypted"):
        try_out(authority.issue("hub.example", passphrase=b"x"), authority.trust, "hub.example")


def test_renewed(tmp_path: Path) -> None:
    """The new one is for the old names too; the old one is kept, with its key, for its owner alone."""
    make_certificate(tmp_path, (*NAMES, "agency.example"), NOW - timedelta(days=380))
    old = current_pair(tmp_path)
    trust = renew(tmp_path, None, None, ("hub.example",), NOW)
    new = current_pair(tmp_path)
    assert trust == text_of(new) != text_of(old)
    assert (tmp_path / "tls.crt.old").read_bytes() == old.certificate
    assert (tmp_path / "tls.key.old").read_bytes() == old.key
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("tls.key", "tls.key.old")} == {
        0o600
    }
    for name in (*NAMES, "agency.example"):
        try_out(new, trust, name)


def test_renewed_by_ones_own_ca(tmp_path: Path) -> None:
    """What clients then trust is the CA."""
    authority = Authority()
    make_certificate(tmp_path, ("hub.example",), NOW)
    pair = authority.issue("hub.example")
    assert renew(tmp_path, pair, authority.trust, ("hub.example",), NOW) == authority.trust
    assert current_pair(tmp_path) == pair


@pytest.mark.parametrize("without", ["its CA", "its name"])
def test_what_clients_would_refuse_is_not_installed(tmp_path: Path, without: str) -> None:
    """Without the CA's certificate, or for another name, nothing is changed."""
    authority = Authority()
    make_certificate(tmp_path, ("hub.example",), NOW)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    names = ("hub.example" if without == "its CA" else "other.example",)
    trust = None if without == "its CA" else authority.trust
    with pytest.raises(ConfigurationError, match="refuses it"):
        renew(tmp_path, authority.issue(*names), trust, ("hub.example",), NOW)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_both_are_trusted_for_a_while() -> None:
    """Who trusts both takes the old one before the server is started anew, and the new one after."""
    old, new = self_signed(NAMES, NOW - timedelta(days=380)), self_signed(NAMES, NOW)
    gone = self_signed(NAMES, NOW - timedelta(days=398))
    both = trusted_together(text_of(new), text_of(old) + text_of(gone), NOW)
    assert both == text_of(new) + text_of(old)
    for pair in (old, new):
        try_out(pair, both, "hub.example")


@pytest.mark.parametrize(
    ("lived_days", "names", "grade"),
    [
        (0, NAMES, Grade.OK),
        (368, NAMES, Grade.WARN),
        (398, NAMES, Grade.FAIL),
        (0, ("other.example",), Grade.FAIL),
    ],
    ids=["new", "ends soon", "ended", "another name"],
)
def test_the_doctor_looks_at_it(
    tmp_path: Path, lived_days: int, names: tuple[str, ...], grade: Grade
) -> None:
    """It warns 30 days before the end, and names the command that renews it."""
    make_certificate(tmp_path, NAMES, NOW - timedelta(days=lived_days))
    check = check_certificate(tmp_path, names, NOW, "barid hub tls renew")
    assert check.grade == grade, check
    assert ("barid hub tls renew" in check.advice) == (grade is not Grade.OK)


def test_the_doctor_sees_a_crash_between_key_and_certificate(tmp_path: Path) -> None:
    """A key that does not belong to the certificate, or none at all, is seen before the next start."""
    make_certificate(tmp_path, NAMES, NOW)
    write_private(tmp_path / "tls.key", self_signed(NAMES, NOW).key)
    assert check_certificate(tmp_path, NAMES, NOW, "renew").grade == Grade.FAIL
    (tmp_path / "tls.key").unlink()
    assert check_certificate(tmp_path, NAMES, NOW, "renew").grade == Grade.FAIL
    write_private(tmp_path / "tls.crt", b"no certificate")
    assert check_certificate(tmp_path, NAMES, NOW, "renew").grade == Grade.FAIL


def test_a_private_file_replaces_what_a_crash_left(tmp_path: Path) -> None:
    """A rest of an earlier try, open to others, is not written into."""
    rest = tmp_path / "tls.key.new"
    rest.touch(mode=0o644)
    write_private(tmp_path / "tls.key", b"secret")
    assert (tmp_path / "tls.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["tls.key"]
