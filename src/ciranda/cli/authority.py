"""A consortium's own certificate authority, for its banks on this machine, and for trying TLS out.

In earnest each bank has a certificate from an authority that its customers' programs know, and the banks agree on one
for themselves. This one lies in the consortium's folder, key and all: whoever can read that can be any bank.
"""

import ipaddress
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ciranda.cli.screen import CommandError
from ciranda.settings import AUTHORITY, TLS_CERTIFICATE, TLS_KEY, write_guarded

AUTHORITY_KEY = "ca.key"
VARIABLE = "CIRANDA_CA"
_YEARS = timedelta(days=3652)
_CLOCKS_DIFFER = timedelta(hours=1)


def trusted(consortium: Path | None) -> Path | None:
    """Who vouches for the banks: the file that `--ca` or its variable names, or the consortium's own authority; None:
    whomever this machine trusts. Raises CommandError."""
    named = os.environ.get(VARIABLE)
    if named:
        file = Path(named)
    elif consortium is not None and (consortium / AUTHORITY).is_file():
        file = consortium / AUTHORITY
    else:
        return None
    try:
        ssl.create_default_context(cafile=file)
    except (OSError, ssl.SSLError) as error:
        raise CommandError(f"{file}: these are no certificates to trust: {error}.") from error
    return file


def make_authority(folder: Path, name: str) -> None:
    """Writes `ca.crt` and `ca.key`."""
    key = generate_private_key(SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name}, for development"[:64])])
    certificate = (
        _beginning(subject, subject, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    _write(folder / AUTHORITY_KEY, key)
    write_guarded(folder / AUTHORITY, certificate.public_bytes(Encoding.PEM))


def issue(consortium: Path, bank: Path, name: str, hosts: set[str]) -> None:
    """Writes a bank's `tls.crt` and `tls.key` into its folder: for both of its listeners and for calls to its peers.

    Raises CommandError if the consortium has no authority of its own.
    """
    try:
        authority = x509.load_pem_x509_certificate((consortium / AUTHORITY).read_bytes())
        signer = load_pem_private_key((consortium / AUTHORITY_KEY).read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise CommandError(f"{consortium} has no authority whose key is here: {error}.") from error
    if not isinstance(signer, EllipticCurvePrivateKey):
        raise CommandError(f"{consortium / AUTHORITY_KEY} is not a key that ciranda init made.")
    key = generate_private_key(SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    certificate = (
        _beginning(subject, authority.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        .add_extension(
            x509.SubjectAlternativeName(
                [_named(host) for host in sorted({*hosts, "localhost", "127.0.0.1"})]
            ),
            critical=False,
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, SHA256())
    )
    _write(bank / TLS_KEY, key)
    write_guarded(bank / TLS_CERTIFICATE, certificate.public_bytes(Encoding.PEM))


def _beginning(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + _YEARS)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _named(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(path: Path, key: EllipticCurvePrivateKey) -> None:
    write_guarded(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
