"""The web configuration file: what it may hold, and the sentence for everything else."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

import pytest

from exporter.config import ConfigError
from exporter.config.problems import keys_of
from exporter.server.protocol import Limits
from exporter.server.webconfig import HttpServer, TlsServer, WebConfig, load
from tests.certificates import Authority

HASH = "$2y$04$FNhXvPZMeO3TTlcyB1XiAOh3gxek2JwH8y5HEmCpWNkGIt0oSczue"
TLS = "tls_server_config: {cert_file: server.pem, key_file: server.key"
SUITES_OF_TLS13 = "TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with certificates."""
    folder = tmp_path_factory.mktemp("web")
    authority = Authority.make(folder)
    authority.issue(folder, "server")
    authority.issue(folder, "other")
    (folder / "note.txt").write_text("no certificate\n")
    return folder


def read(folder: Path, text: str) -> WebConfig:
    """Load a file with ``text`` in it."""
    path = folder / "web.yml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def problems(folder: Path, text: str) -> list[str]:
    """Return the problems of a file with ``text`` in it, without the file's name."""
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    return [problem.removeprefix(f"{folder / 'web.yml'}: ") for problem in caught.value.problems]


def test_least_tls(folder: Path) -> None:
    """A certificate and its key suffice for TLS 1.2 and 1.3 without certificates of clients."""
    tls = read(folder, f"{TLS}}}").tls_server_config
    assert tls is not None
    context = tls.context()
    assert (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3, ssl.CERT_NONE) == (
        context.minimum_version,
        context.maximum_version,
        context.verify_mode,
    )


def test_every_key(folder: Path) -> None:
    """Every key of the toolkit that has a meaning here is understood."""
    config = read(
        folder,
        f"""
tls_server_config:
  cert_file: server.pem
  key_file: {folder}/server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: authority.pem
  min_version: TLS12
  max_version: TLS12
  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
  curve_preferences: [CurveP384]
http_server_config:
  http2: false
  headers:
    Strict-Transport-Security: max-age=31536000
    X-Content-Type-Options: nosniff
    X-Frame-Options: deny
    X-XSS-Protection: "0"
    Content-Security-Policy: default-src 'none'
basic_auth_users:
  prometheus: {HASH}
  Grüße: {HASH.replace("2y", "2b")}
""",
    )
    assert config.tls_server_config is not None
    context = config.tls_server_config.context()
    assert (ssl.TLSVersion.TLSv1_2, ssl.CERT_REQUIRED) == (context.maximum_version, context.verify_mode)
    suites = [suite["name"] for suite in context.get_ciphers() if suite["protocol"] == "TLSv1.2"]
    assert ["ECDHE-ECDSA-AES128-GCM-SHA256"] == suites
    assert not context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert ["prometheus", "Grüße"] == list(config.basic_auth_users)
    assert "deny" == config.http_server_config.headers["X-Frame-Options"]


@pytest.mark.parametrize(
    ("client_auth_type", "mode"),
    [("VerifyClientCertIfGiven", ssl.CERT_OPTIONAL), ("RequireAndVerifyClientCert", ssl.CERT_REQUIRED)],
)
def test_client_certificates(folder: Path, client_auth_type: str, mode: ssl.VerifyMode) -> None:
    """Certificates of clients are asked for, and required only where the file says so."""
    tls = read(
        folder, f"{TLS}, client_auth_type: {client_auth_type}, client_ca_file: authority.pem}}"
    ).tls_server_config
    assert tls is not None
    assert mode == tls.context().verify_mode


@pytest.mark.parametrize("curve", ["CurveP256", "CurveP384", "CurveP521", "X25519"])
def test_curves(folder: Path, curve: str) -> None:
    """Each of the toolkit's curves is one that OpenSSL takes."""
    tls = read(folder, f"{TLS}, curve_preferences: [{curve}]}}").tls_server_config
    assert tls is not None
    assert ssl.CERT_NONE == tls.context().verify_mode


def test_secrets_are_hidden(folder: Path) -> None:
    """Hashes show neither in the repr nor in a dump of the configuration."""
    config = read(folder, f"basic_auth_users: {{prometheus: '{HASH}'}}")
    assert HASH not in repr(config)
    assert {"prometheus": "<secret>"} == config.model_dump()["basic_auth_users"]


BAD = {
    "empty": ("", ["is empty, expected a mapping with tls_server_config or basic_auth_users"]),
    "list": ("[a]", ["is a list, expected a mapping with tls_server_config or basic_auth_users"]),
    "unknown-key": ("tls_config: {}", ["tls_config: is no known key, expected tls_server_config instead"]),
    "section-without-value": (
        "tls_server_config:",
        ["tls_server_config: is empty, expected a value, or the key left out"],
    ),
    "no-files": (
        "tls_server_config: {}",
        [
            "tls_server_config.cert_file: is missing, expected the path of the certificate",
            "tls_server_config.key_file: is missing, expected the path of the certificate's private key",
        ],
    ),
    "absent-files": (
        "tls_server_config: {cert_file: a.pem, key_file: a.key}",
        [
            "tls_server_config.cert_file: the file a.pem does not exist, expected a readable file in PEM",
            "tls_server_config.key_file: the file a.key does not exist, expected a readable file in PEM",
        ],
    ),
    "not-pem": (
        "tls_server_config: {cert_file: note.txt, key_file: server.key}",
        ["tls_server_config.cert_file: the file note.txt is not in PEM, expected a readable file in PEM"],
    ),
    "key-of-another-certificate": (
        "tls_server_config: {cert_file: server.pem, key_file: other.key}",
        [
            (
                "tls_server_config.key_file: the key does not fit cert_file, expected its private key in PEM, without a"
                " passphrase"
            )
        ],
    ),
    "old-tls": (f"{TLS}, min_version: TLS11}}", ["tls_server_config.min_version: is 'TLS11', expected TLS12 or TLS13"]),
    "versions-turned-round": (
        f"{TLS}, min_version: TLS13, max_version: TLS12}}",
        ["tls_server_config.max_version: is TLS12 and min_version TLS13, expected at least that"],
    ),
    "any-client-certificate": (
        f"{TLS}, client_auth_type: RequireAnyClientCert, client_ca_file: authority.pem}}",
        [
            (
                "tls_server_config.client_auth_type: is 'RequireAnyClientCert', which takes any certificate and is not"
                " possible here, expected RequireAndVerifyClientCert or VerifyClientCertIfGiven"
            )
        ],
    ),
    "unknown-client-auth": (
        f"{TLS}, client_auth_type: yes}}",
        [
            (
                "tls_server_config.client_auth_type: is a boolean, expected one of NoClientCert,"
                " VerifyClientCertIfGiven, RequireAndVerifyClientCert"
            )
        ],
    ),
    "authorities-without-client-auth": (
        f"{TLS}, client_ca_file: authority.pem}}",
        [
            (
                "tls_server_config.client_ca_file: is set although client_auth_type is NoClientCert, expected both or"
                " neither"
            )
        ],
    ),
    "client-auth-without-authorities": (
        f"{TLS}, client_auth_type: RequireAndVerifyClientCert}}",
        [
            (
                "tls_server_config.client_ca_file: is missing although client_auth_type is RequireAndVerifyClientCert,"
                " expected the file of the authorities"
            )
        ],
    ),
    "key-for-authorities": (
        f"{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: server.key}}",
        ["tls_server_config.client_ca_file: holds no certificate, expected certificates in PEM"],
    ),
    "suites-as-text": (
        f"{TLS}, cipher_suites: TLS_AES_128_GCM_SHA256}}",
        ["tls_server_config.cipher_suites: is text, expected a list of names such as [TLS_AES_128_GCM_SHA256]"],
    ),
    "suites-of-tls-1.3-only": (
        f"{TLS}, cipher_suites: [{SUITES_OF_TLS13}]}}",
        ["tls_server_config.cipher_suites: holds no suite of TLS 1.2, expected one, or min_version: TLS13"],
    ),
    "unknown-curve": (
        f"{TLS}, curve_preferences: [P256]}}",
        [
            (
                "tls_server_config.curve_preferences: holds 'P256', expected only names out of CurveP256, CurveP384,"
                " CurveP521, X25519"
            )
        ],
    ),
    "two-curves": (
        f"{TLS}, curve_preferences: [X25519, CurveP256]}}",
        [
            (
                "tls_server_config.curve_preferences: holds 2 curves, expected a single one, which is what Python's TLS"
                " can set"
            )
        ],
    ),
    "inline-certificate": (
        f"{TLS}, cert: '-----BEGIN'}}",
        ["tls_server_config.cert: is no known key, expected cert_file instead"],
    ),
    "other-header": (
        "http_server_config: {headers: {Server: a}}",
        [
            (
                "http_server_config.headers.Server: is no header that can be set here, expected one of"
                " Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, X-XSS-Protection,"
                " Content-Security-Policy"
            )
        ],
    ),
    "header-with-another-value": (
        "http_server_config: {headers: {X-Frame-Options: allow}}",
        ["http_server_config.headers: has 'allow' for X-Frame-Options, expected deny or sameorigin"],
    ),
    "header-on-two-lines": (
        'http_server_config: {headers: {Content-Security-Policy: "a\\r\\nSet-Cookie: b"}}',
        ["http_server_config.headers.Content-Security-Policy: is not one printable line, expected text in quotes"],
    ),
    "header-without-value": (
        "http_server_config: {headers: {X-XSS-Protection: }}",
        ["http_server_config.headers.X-XSS-Protection: is empty, expected a value, or the key left out"],
    ),
    "http2-as-text": (
        "http_server_config: {http2: 'no'}",
        ["http_server_config.http2: is text, expected true or false without quotes"],
    ),
    "password-instead-of-hash": (
        "basic_auth_users: {prometheus: hunter2}",
        [
            (
                "basic_auth_users.prometheus: is no bcrypt hash, expected one such as htpasswd -nBC 10 prints after the"
                " colon"
            )
        ],
    ),
    "costly-hash": (
        f"basic_auth_users: {{prometheus: '{HASH.replace('$04$', '$31$')}'}}",
        ["basic_auth_users.prometheus: is a bcrypt hash of cost 31, expected a cost from 04 to 16"],
    ),
    "user-with-colon": (
        f"basic_auth_users: {{'a:b': '{HASH}'}}",
        ['basic_auth_users."a:b": is no name that can log in, expected printable text without a colon'],
    ),
    "number-as-user": (
        f"basic_auth_users: {{17: '{HASH}'}}",
        ["basic_auth_users.17: is a number, expected a user's name in quotes"],
    ),
    "several": (
        "http_server_config: {http2: 1}\nbasic_auth_users: {a: b}\ntls_server_config: {cert_file: server.pem}",
        [
            "http_server_config.http2: is a number, expected true or false without quotes",
            "basic_auth_users.a: is no bcrypt hash, expected one such as htpasswd -nBC 10 prints after the colon",
            "tls_server_config.key_file: is missing, expected the path of the certificate's private key",
        ],
    ),
}


@pytest.mark.parametrize(("text", "expected"), BAD.values(), ids=BAD.keys())
def test_bad_files(folder: Path, text: str, expected: list[str]) -> None:
    """Every problem is said at once, with its key, what was wrong and what was expected, and without a secret."""
    found = problems(folder, text)
    assert expected == found
    assert "hunter2" not in "".join(found)


def test_absent_file(tmp_path: Path) -> None:
    """A file that does not exist is a problem like any other."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "web.yml")
    assert (f"{tmp_path}/web.yml: there is no such file, expected a YAML file",) == caught.value.problems


REFERENCE = Path(__file__).parents[2] / "docs" / "web-configuration.md"


@pytest.mark.parametrize(
    "key",
    [key for section in (WebConfig, TlsServer, HttpServer) for key in keys_of(section)],
)
def test_reference_has_every_key(key: str) -> None:
    """Every key is a heading or the first cell of a row in the reference."""
    assert re.search(rf"^(## |\| )`{key}`", REFERENCE.read_text(encoding="utf-8"), re.MULTILINE)


def test_reference_states_the_limits() -> None:
    """The reference names what a connection may take as it is."""
    usual = Limits()
    sentences = (
        f"arrived completely within {usual.arrival:g} s",
        f"A body of more than {usual.body_bytes // 1024} KiB",
        f"A target of more than {usual.target_bytes // 1024} KiB",
        f"More than {usual.pipelined} requests that wait",
        f"Headers of more than {usual.head_bytes // 1024} KiB",
        f"More than {usual.connections} open connections",
        f"idle for {usual.keep_alive:g} s",
        f"unread for {usual.departure:g} s",
    )
    text = " ".join(REFERENCE.read_text(encoding="utf-8").split())
    assert [] == [sentence for sentence in sentences if sentence not in text]


def test_example_of_the_reference(folder: Path) -> None:
    """The first example of the reference is a file that can be used."""
    example = REFERENCE.read_text(encoding="utf-8").partition("```yaml\n")[2].partition("```")[0]
    config = read(folder, example)
    assert config.tls_server_config is not None
    assert ["prometheus"] == list(config.basic_auth_users)
