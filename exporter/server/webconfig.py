"""The web configuration file in the form of Prometheus' exporter-toolkit: TLS, users and response headers.

It is a file of its own (``--web.config.file``), so that one file serves all exporters of a machine. Every problem is a
sentence that names its key, as in :mod:`exporter.config`. What Python's TLS cannot do is refused, never ignored.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from exporter.config import ConfigError, document
from exporter.config.document import kind
from exporter.config.problems import Problem, described, empty_values, found_in, in_file_order
from exporter.config.section import Section
from exporter.config.values import SECRET, Flag, PemPath, Reading, check_authorities, check_key_pair

_BCRYPT = re.compile(r"\$2[aby]\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{53}")
#: A login at this cost takes seconds already; one at 31 takes days.
_HIGHEST_COST = 16
_CLIENT_AUTH = ("NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
# These take any certificate, which Python's TLS has no way to do.
_UNVERIFIED_CLIENT_AUTH = ("RequestClientCert", "RequireClientCert", "RequireAnyClientCert")
_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
# Go's names → OpenSSL's. Those of TLS 1.3 are always on, there as here.
_SUITES_OF_TLS13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_SUITES = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
}
_CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
# The toolkit's list; an empty tuple allows any value.
_HEADERS: Mapping[str, tuple[str, ...]] = {
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
    "Content-Security-Policy": (),
}


def _one_of(*known: str) -> PlainValidator:
    def check(value: Any) -> str:
        if value not in known:
            what = described(value) if isinstance(value, str) else kind(value)
            raise ValueError(f"is {what}, expected {' or '.join(known)}")
        return str(value)

    return PlainValidator(check)


def _client_auth(value: Any) -> str:
    if value in _UNVERIFIED_CLIENT_AUTH:
        raise ValueError(
            f"is {described(value)}, which takes any certificate and is not possible here, expected"
            " RequireAndVerifyClientCert or VerifyClientCertIfGiven"
        )
    if value not in _CLIENT_AUTH:
        what = described(value) if isinstance(value, str) else kind(value)
        raise ValueError(f"is {what}, expected one of {', '.join(_CLIENT_AUTH)}")
    return str(value)


def _names(known: Mapping[str, str] | tuple[str, ...]) -> PlainValidator:
    def check(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list | tuple):
            raise ValueError(f"is {kind(value)}, expected a list of names such as [{next(iter(known))}]")
        for name in value:
            if name not in known:
                what = described(name) if isinstance(name, str) else kind(name)
                raise ValueError(f"holds {what}, expected only names out of {', '.join(known)}")
        return tuple(value)

    return PlainValidator(check)


class TlsServer(Section):
    """How connections are encrypted, and which clients are let in.

    Attributes:
        cert_file: the server's certificate and those between it and its authority.
        key_file: the private key of the certificate, without a passphrase.
        client_auth_type: whether clients need a certificate of ``client_ca_file``.
        client_ca_file: the authorities of clients' certificates.
        min_version: the lowest version of TLS.
        max_version: the highest version of TLS.
        cipher_suites: names of those allowed in TLS 1.2; Python's choice if empty.
        prefer_server_cipher_suites: whether the server's order of suites counts.
        curve_preferences: the one curve of the key exchange; OpenSSL's choice if empty.
    """

    cert_file: PemPath
    key_file: PemPath
    client_auth_type: Annotated[str, PlainValidator(_client_auth)] = "NoClientCert"
    client_ca_file: PemPath | None = Field(default=None, validate_default=True)
    min_version: Annotated[str, _one_of(*_VERSIONS)] = "TLS12"
    max_version: Annotated[str, _one_of(*_VERSIONS)] = "TLS13"
    cipher_suites: Annotated[tuple[str, ...], _names((*_SUITES_OF_TLS13, *_SUITES))] = ()
    prefer_server_cipher_suites: Flag = True
    curve_preferences: Annotated[tuple[str, ...], _names(_CURVES)] = ()

    @field_validator("key_file")
    @classmethod
    def _fits_certificate(cls, key_file: Path, info: ValidationInfo) -> Path:
        if isinstance(info.context, Reading) and "cert_file" in info.data:
            check_key_pair(info.data["cert_file"], key_file)
        return key_file

    @field_validator("client_ca_file")
    @classmethod
    def _goes_with_client_auth_type(cls, client_ca_file: Path | None, info: ValidationInfo) -> Path | None:
        wanted = info.data.get("client_auth_type")
        if client_ca_file is not None and wanted == "NoClientCert":
            raise ValueError("is set although client_auth_type is NoClientCert, expected both or neither")
        if client_ca_file is None and wanted not in {"NoClientCert", None}:
            raise ValueError(f"is missing although client_auth_type is {wanted}, expected the file of the authorities")
        if client_ca_file is not None and isinstance(info.context, Reading):
            check_authorities(client_ca_file)
        return client_ca_file

    @field_validator("max_version")
    @classmethod
    def _not_below_min_version(cls, max_version: str, info: ValidationInfo) -> str:
        if (info.data.get("min_version"), max_version) == ("TLS13", "TLS12"):
            raise ValueError("is TLS12 and min_version TLS13, expected at least that")
        return max_version

    @field_validator("cipher_suites")
    @classmethod
    def _leave_something(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if names and info.data.get("min_version") == "TLS12" and set(names) <= set(_SUITES_OF_TLS13):
            raise ValueError("holds no suite of TLS 1.2, expected one, or min_version: TLS13")
        return names

    @field_validator("curve_preferences")
    @classmethod
    def _single(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(names) > 1:
            raise ValueError(f"holds {len(names)} curves, expected a single one, which is what Python's TLS can set")
        return names

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it is made of."""
        return tuple(path for path in (self.cert_file, self.key_file, self.client_ca_file) if path is not None)

    def context(self) -> ssl.SSLContext:
        """Return a context for servers, made of the files as they are now.

        Raises:
            OSError: a file cannot be read, or is not what it should be.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _VERSIONS[self.min_version]
        context.maximum_version = _VERSIONS[self.max_version]
        context.options |= ssl.OP_NO_RENEGOTIATION
        if not self.prefer_server_cipher_suites:
            context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
        suites = [_SUITES[name] for name in self.cipher_suites if name in _SUITES]
        if suites:
            context.set_ciphers(":".join(suites))
        for name in self.curve_preferences:
            context.set_ecdh_curve(_CURVES[name])
        context.set_alpn_protocols(["http/1.1"])
        # An encrypted key gets an empty passphrase instead of a question on the terminal.
        context.load_cert_chain(self.cert_file, self.key_file, password="")
        if self.client_ca_file is not None:
            context.load_verify_locations(cafile=self.client_ca_file)
            required = self.client_auth_type == "RequireAndVerifyClientCert"
            context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
        return context


def _header_name(value: Any) -> str:
    if value not in _HEADERS:
        raise ValueError(f"is no header that can be set here, expected one of {', '.join(_HEADERS)}")
    return str(value)


def _header_value(value: Any) -> str:
    if not isinstance(value, str) or not (value.isascii() and value.isprintable()) or value != value.strip():
        raise ValueError("is not one printable line, expected text in quotes")
    return value


class HttpServer(Section):
    """How answers are sent.

    Attributes:
        http2: accepted for the toolkit's sake; HTTP/1.1 is what is spoken, as with any client that has no HTTP/2.
        headers: sent with every answer that does not set them itself.
    """

    http2: Flag = True
    headers: dict[Annotated[str, PlainValidator(_header_name)], Annotated[str, PlainValidator(_header_value)]] = Field(
        default_factory=dict
    )

    @field_validator("headers")
    @classmethod
    def _allowed(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if _HEADERS[name] and value not in _HEADERS[name]:
                raise ValueError(f"has {described(value)} for {name}, expected {' or '.join(_HEADERS[name])}")
        return headers


def _user(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"is {kind(value)}, expected a user's name in quotes")
    if not value or ":" in value or not value.isprintable():
        raise ValueError("is no name that can log in, expected printable text without a colon")
    return value


def _password_hash(value: Any) -> SecretStr:
    # No message shows the value: it may be the password itself.
    match = _BCRYPT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("is no bcrypt hash, expected one such as htpasswd -nBC 10 prints after the colon")
    if not 4 <= int(match["cost"]) <= _HIGHEST_COST:  # noqa: PLR2004 - bcrypt's lowest cost
        raise ValueError(f"is a bcrypt hash of cost {match['cost']}, expected a cost from 04 to {_HIGHEST_COST}")
    return SecretStr(match[0])


class WebConfig(Section):
    """The whole file; without any users nobody has to log in.

    Attributes:
        tls_server_config: plain HTTP without.
        http_server_config: how answers are sent.
        basic_auth_users: the bcrypt hash of each user's password.
    """

    tls_server_config: TlsServer | None = None
    http_server_config: HttpServer = HttpServer()
    basic_auth_users: dict[
        Annotated[str, BeforeValidator(_user)],
        Annotated[SecretStr, PlainValidator(_password_hash), PlainSerializer(lambda _: SECRET)],
    ] = Field(default_factory=dict)


def load(path: Path) -> WebConfig:
    """Read the web configuration file at ``path``; relative paths in it start at its folder.

    Raises:
        ConfigError: the file cannot be used; it holds every problem.
    """
    try:
        content = document.read(path, expected="a mapping with tls_server_config or basic_auth_users")
    except document.DocumentError as error:
        raise ConfigError([f"{path}: {problem}" for problem in error.problems]) from None
    problems: list[Problem] = list(empty_values(content))
    try:
        config = WebConfig.model_validate(content, context=Reading(folder=path.absolute().parent, profiles={}))
    except ValidationError as error:
        problems.extend(found_in(error, WebConfig))
    if problems:
        raise ConfigError([f"{path}: {problem}" for problem in in_file_order(problems, content)])
    return config
