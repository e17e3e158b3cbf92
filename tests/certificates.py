"""Throw-away authorities and certificates, made by the ``openssl`` command."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its private key, each in a file in PEM."""

    cert: Path
    key: Path

    @property
    def der(self) -> bytes:
        """The certificate as it goes over the wire."""
        return ssl.PEM_cert_to_DER_cert(self.cert.read_text())

    def replace(self, other: Certificate) -> None:
        """Put another certificate in the place of this one, as a renewal does."""
        for own, new in ((self.key, other.key), (self.cert, other.cert)):
            beside = own.with_suffix(".new")
            beside.write_bytes(new.read_bytes())
            beside.replace(own)


@dataclass(frozen=True, slots=True)
class Authority:
    """One that issues certificates for a day."""

    own: Certificate

    @classmethod
    def make(cls, folder: Path, name: str = "authority") -> Authority:
        """Return a new authority whose files are in ``folder``."""
        own = _paths(folder, name)
        # Python 3.13 judges strictly: an authority has to say that it is one.
        usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        _openssl("req", "-x509", *_new_key(own), *usage, "-days", "1", "-subj", f"/CN={name}", "-out", own.cert)
        return cls(own)

    def issue(self, folder: Path, name: str, subjects: str = "DNS:localhost,IP:127.0.0.1") -> Certificate:
        """Return a new certificate of a holder called ``name`` for this machine's loopback address, or ``subjects``."""
        issued = _paths(folder, name)
        request, extensions = folder / f"{name}.csr", folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={subjects}\nauthorityKeyIdentifier=keyid\n")
        _openssl("req", "-new", *_new_key(issued), "-subj", f"/CN={name}", "-out", request)
        authority = ("-CA", self.own.cert, "-CAkey", self.own.key, "-CAcreateserial")
        _openssl("x509", "-req", "-in", request, *authority, "-days", "1", "-extfile", extensions, "-out", issued.cert)
        return issued

    def trusting(self, certificate: Certificate | None = None) -> ssl.SSLContext:
        """Return the context of a client that trusts this authority, and may have a certificate of its own."""
        context = ssl.create_default_context(cafile=self.own.cert)
        if certificate is not None:
            context.load_cert_chain(certificate.cert, certificate.key)
        return context


def _paths(folder: Path, name: str) -> Certificate:
    folder.mkdir(parents=True, exist_ok=True)
    return Certificate(folder / f"{name}.pem", folder / f"{name}.key")


def _new_key(certificate: Certificate) -> tuple[str | Path, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", certificate.key)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)  # noqa: S603, S607 - whatever openssl there is
