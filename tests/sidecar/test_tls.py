"""A whole kill behind the sidecar's own TLS: client certificates at the gate, and a cookie for this host alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser

from tests.certificates import Authority, Certificate
from tests.installation import Simulator
from tests.loopback import free_port
from tests.processes import COMMAND, running
from tests.sidecar.browser import person, state_of
from tests.sidecar.running import (
    AUTH,
    PASSWORD,
    PATIENT,
    POLICY,
    WIDE,
    Sidecar,
    begin,
    configure,
    confirm,
    ended,
    final_state,
    link,
)

TLS = """\
tls_server_config:
  cert_file: server.pem
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: authority.pem
"""


@dataclass(frozen=True, slots=True)
class Encrypted:
    """A sidecar that speaks TLS, the authority that it trusts, and a certificate of that authority."""

    sidecar: Sidecar
    authority: Authority
    certificate: Certificate


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory, installation: Simulator) -> Iterator[Encrypted]:
    """A sidecar that kills, behind TLS and client certificates."""
    folder = tmp_path_factory.mktemp("encrypted")
    authority = Authority.make(folder)
    authority.issue(folder, "server")
    certificate = authority.issue(folder, "operator")
    port = free_port()
    url = f"https://localhost:{port}"
    kill = f"  mode: live\n  targets: {{simulated: {{bearer_token_file: cockpit-key}}}}\n{AUTH}{POLICY}{WIDE}{PATIENT}"
    files = configure(folder, url, installation.url, installation.token, kill, tls=TLS)
    command = [COMMAND, "sidecar", *files, "--web.listen-address", f"127.0.0.1:{port}"]
    with running(command, folder, name="sidecar") as process:
        assert process.listening_url().startswith("https://")
        sidecar = Sidecar(process, url, folder / "audit.jsonl", authority.trusting(certificate))
        yield Encrypted(sidecar, authority, certificate)


@pytest.fixture
def run(installation: Simulator) -> dict[str, Any]:
    """One run that lasts."""
    return begin(installation)[0]


def test_confirmed_behind_tls(encrypted: Encrypted, installation: Simulator, run: dict[str, Any]) -> None:
    """With a certificate and a password, the way from the link to the end of the process is the usual one."""
    with encrypted.sidecar.client() as client:
        page = client.get(link(run))
        answer = confirm(client, run)
        assert "confirmed" == final_state(client, answer)
    assert "killed" == ended(installation, run)
    (morsel,) = SimpleCookie(page.headers["set-cookie"]).values()
    assert ("__Host-dumbella-kill", "/", "", True, True, "lax") == (
        morsel.key,
        morsel["path"],
        morsel["domain"],
        morsel["secure"],
        morsel["httponly"],
        morsel["samesite"],
    )


@pytest.mark.parametrize("whose", ["nobody's", "a stranger's"])
def test_gate_is_shut_without_a_certificate(
    encrypted: Encrypted, installation: Simulator, run: dict[str, Any], tmp_path: Path, whose: str
) -> None:
    """Without a certificate, or with one of another authority, not even a password is looked at."""
    foreign = Authority.make(tmp_path, "stranger").issue(tmp_path, "mallory")
    context = encrypted.authority.trusting(None if whose == "nobody's" else foreign)
    before = len(encrypted.sidecar.records())
    with httpx.Client(verify=context, auth=("alice", PASSWORD), trust_env=False) as client:
        for path in (link(run), "/-/healthy"):
            with pytest.raises(httpx.TransportError):
                client.get(f"{encrypted.sidecar.url}{path}")
    assert (before, None) == (len(encrypted.sidecar.records()), ended(installation, run))


def test_plain_http_is_not_spoken(encrypted: Encrypted) -> None:
    """Who speaks plain HTTP to the port gets no answer."""
    with httpx.Client(trust_env=False) as client, pytest.raises(httpx.TransportError):
        client.get(encrypted.sidecar.url.replace("https:", "http:"))


def test_confirmed_in_a_browser_behind_tls(
    browser: Browser, encrypted: Encrypted, installation: Simulator, run: dict[str, Any]
) -> None:
    """A browser that shows its certificate keeps the cookie for this host, sends it with the form, and the run ends."""
    own = {
        "origin": encrypted.sidecar.url,
        "certPath": encrypted.certificate.cert,
        "keyPath": encrypted.certificate.key,
    }
    login = {"username": "alice", "password": PASSWORD}
    options = {"client_certificates": [own], "http_credentials": login, "ignore_https_errors": True}
    with person(browser, "", **options) as context:
        page = context.new_page()
        page.goto(encrypted.sidecar.url + link(run))
        page.click("button")
        assert "confirmed" == state_of(page)
        (cookie,) = context.cookies()
    assert "killed" == ended(installation, run)
    assert ("__Host-dumbella-kill", True, True, "Lax", "localhost", "/") == (
        cookie["name"],
        cookie["secure"],
        cookie["httpOnly"],
        cookie["sameSite"],
        cookie["domain"],
        cookie["path"],
    )
