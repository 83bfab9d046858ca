"""TLS certificates of hub and node: made by themselves or by one's own CA, renewed, read, tried out.

May import cryptography, `broker.calls` and `schemas`; setup, the command line and the doctors call it.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from broker.calls import tls_context
from broker.settings import write_whole
from schemas.errors import ConfigurationError

CERTIFICATE_FILE: Final = "tls.crt"
KEY_FILE: Final = "tls.key"
OLD_SUFFIX: Final = ".old"

CERTIFICATE_DAYS: Final = 397
"""Life of a self-made certificate: the longest that common clients accept."""

RENEW_WITHIN: Final = timedelta(days=30)
"""Before its end a certificate is to be renewed: those who trust it have to be told in person."""

_CLOCKS: Final = timedelta(minutes=5)
_HANDSHAKE_STEPS_MAX: Final = 16

_TRUSTED_MAX: Final = 8
"""Certificates that members trust at one time: the CA's or the hub's own, and those before it."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A server's certificate (with those that lead to its CA) and private key, PEM."""

    certificate: bytes
    key: bytes


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read; a crash leaves the old state or the new file."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    unfinished.replace(path)


def make_certificate(directory: Path, names: tuple[str, ...], now: datetime) -> tuple[Path, Path]:
    """Make a self-signed server certificate (ECDSA P-256) and its key in `directory`.

    Args:
        names: DNS names and IP addresses that clients will use; the first is the common name.

    Returns:
        Paths of the certificate and of the key (PEM; the key's mode is 0600).
    """
    pair = self_signed(names, now)
    certificate_path, key_path = directory / CERTIFICATE_FILE, directory / KEY_FILE
    write_private(key_path, pair.key)
    write_whole(certificate_path, pair.certificate)
    return certificate_path, key_path


def self_signed(names: tuple[str, ...], now: datetime) -> Pair:
    """A new key, and a certificate that it signs itself; arguments as `make_certificate`."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # The serial number tells it from the one before, of the same name: a client that trusts both would
    # otherwise try this one's signature with the key of that one, and give up.
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, names[0]),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, f"{serial:x}"),
        ]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - _CLOCKS)
        .not_valid_after(now + timedelta(days=CERTIFICATE_DAYS))
        .add_extension(
            x509.SubjectAlternativeName([_general_name(n) for n in names]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pair(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def read_certificate(pem: bytes) -> x509.Certificate:
    """The server's own certificate, the first of a PEM file. Raises ConfigurationError."""
    try:
        return x509.load_pem_x509_certificates(pem)[0]
    except (ValueError, IndexError) as error:
        raise ConfigurationError("this is no certificate in PEM") from error


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """DNS names and IP addresses that a certificate is for."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    names = found.get_values_for_type(x509.DNSName)
    return (*names, *(str(address) for address in found.get_values_for_type(x509.IPAddress)))


def try_out(pair: Pair, trust_pem: str, name: str) -> None:
    """Shake hands with oneself, as a client that trusts some certificates and calls a name.

    Raises:
        ConfigurationError: key and certificate do not belong together, or such a client refuses them.
    """
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.minimum_version = ssl.TLSVersion.TLSv1_3
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder, CERTIFICATE_FILE), Path(folder, KEY_FILE)
        certificate.write_bytes(pair.certificate)
        write_private(key, pair.key)
        try:
            # An encrypted key would be asked about at the terminal.
            server_context.load_cert_chain(certificate, key, password=lambda: "")
        except (ssl.SSLError, OSError, ValueError) as error:
            raise ConfigurationError(
                "certificate and key do not belong together, or the key is encrypted"
            ) from error
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls_context(trust_pem).wrap_bio(to_client, to_server, server_hostname=name)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    try:
        _shake_hands(client, server)
    except ssl.SSLError as error:
        why = getattr(error, "verify_message", "") or error.reason
        raise ConfigurationError(f"a client that calls {name} refuses it: {why}") from error


def _shake_hands(client: ssl.SSLObject, server: ssl.SSLObject) -> None:
    waiting = [client, server]
    for _ in range(_HANDSHAKE_STEPS_MAX):
        for each in list(waiting):
            try:
                each.do_handshake()
                waiting.remove(each)
            except ssl.SSLWantReadError:
                continue
        if not waiting:
            return
    raise ConfigurationError("the handshake does not end")


def current_pair(data: Path) -> Pair:
    """What a data directory serves with. Raises ConfigurationError."""
    try:
        return Pair((data / CERTIFICATE_FILE).read_bytes(), (data / KEY_FILE).read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{error.filename} cannot be read: {error.strerror}") from error


def install(data: Path, pair: Pair) -> None:
    """Put a pair in place of what a data directory serves with, which is kept beside it as `.old`.

    The running server keeps the old one until it starts anew. A crash between key and certificate leaves
    two that do not belong together: the server does not start, and `doctor` says so; the old ones are there.
    """
    old = current_pair(data)
    write_private(data / f"{KEY_FILE}{OLD_SUFFIX}", old.key)
    write_whole(data / f"{CERTIFICATE_FILE}{OLD_SUFFIX}", old.certificate)
    write_private(data / KEY_FILE, pair.key)
    write_whole(data / CERTIFICATE_FILE, pair.certificate)


def trusted_together(new: str, old: str, now: datetime) -> str:
    """What clients trust while a certificate is exchanged: the new ones, then the old that have not ended.

    Args:
        new: PEM, and
        old: PEM.
        now: UTC.
    """
    kept: dict[bytes, None] = {}
    for text in (new, old):
        for certificate in x509.load_pem_x509_certificates(text.encode()):
            if certificate.not_valid_after_utc > now:
                kept[certificate.public_bytes(serialization.Encoding.PEM)] = None
    return b"".join(list(kept)[:_TRUSTED_MAX]).decode("ascii")


def renew(
    data: Path, given: Pair | None, trust_pem: str | None, names: tuple[str, ...], now: datetime
) -> str:
    """Renew what a data directory serves with.

    Args:
        data: of a hub or a node.
        given: from one's own CA; None: one is made, for the names of the old certificate.
        trust_pem: the CA's certificate, where there is one.
        names: that clients call, each of which the pair must serve; none: the first of the certificate.
        now: UTC, whole seconds.

    Returns:
        What clients are to trust, PEM: the CA, or the new certificate.

    Raises:
        ConfigurationError: a client that trusts that would refuse the pair; nothing was changed.
    """
    old_names = names_of(read_certificate(current_pair(data).certificate))
    pair = given or self_signed(tuple(dict.fromkeys((*names, *old_names))), now)
    trust = trust_pem or pair.certificate.decode("ascii", "replace")
    for name in names or names_of(read_certificate(pair.certificate))[:1]:
        try_out(pair, trust, name)
    install(data, pair)
    return trust
