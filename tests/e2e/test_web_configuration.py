"""An exporter behind TLS and a login, scraped by a real Prometheus."""

from __future__ import annotations

import base64
from pathlib import Path

import bcrypt

from tests.certificates import Authority
from tests.installation import Simulator, configuration, exporting
from tests.processes import eventually, run
from tests.prometheus import scraping

PASSWORD = "correct horse battery staple"  # noqa: S105 - of this test only
LOGIN = "Basic " + base64.b64encode(f"prometheus:{PASSWORD}".encode()).decode()


def test_prometheus_scrapes_with_certificate_and_password(
    simulator: Simulator, prometheus_binary: Path, tmp_path: Path
) -> None:
    """Prometheus scrapes through TLS with a client certificate and a password; without the password nobody does."""
    authority = Authority.make(tmp_path)
    authority.issue(tmp_path, "server")
    client = authority.issue(tmp_path, "prometheus")
    web = tmp_path / "web.yml"
    web.write_text(
        "tls_server_config:\n"
        "  cert_file: server.pem\n"
        "  key_file: server.key\n"
        "  client_auth_type: RequireAndVerifyClientCert\n"
        "  client_ca_file: authority.pem\n"
        f"basic_auth_users: {{prometheus: '{bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(8)).decode()}'}}\n"
    )
    file = configuration(simulator, tmp_path / "exporter", timing="{interval: 1s}")
    options = (
        f"    tls_config: {{ca_file: {authority.own.cert}, cert_file: {client.cert}, key_file: {client.key}}}\n"
        f"    basic_auth: {{username: prometheus, password: '{PASSWORD}'}}\n"
    )
    with (
        exporting(file, "--web.config.file", str(web), certificates=authority.trusting(client)) as exporter,
        scraping(prometheus_binary, tmp_path / "prometheus", {"dumbella-exporter": exporter.url}, options) as server,
    ):
        assert exporter.url.startswith("https://")

        def scraped() -> None:
            targets = server.get("targets")["activeTargets"]
            assert [("up", "")] == [(target["health"], target["lastError"]) for target in targets]
            assert [sample.value for sample in server.query("dumbella_up")] == [1]

        eventually(scraped)
        assert 401 == exporter.get("/metrics").status_code
        assert 200 == exporter.get("/metrics", authorization=LOGIN).status_code
        assert PASSWORD not in exporter.process.log


def test_bad_file(tmp_path: Path) -> None:
    """A web configuration that cannot be used ends the start with 2 and a line for each problem."""
    file = tmp_path / "dumbella-exporter.yml"
    file.write_text("targets: [{name: a, url: 'http://127.0.0.1:1', applications: [K7SALES]}]\n")
    web = tmp_path / "web.yml"
    web.write_text("basic_auth_users: {prometheus: secret}\ntls_server_config: {cert_file: a.pem, key_file: a.key}\n")
    ended = run("serve", "--config.file", file, "--web.config.file", web, "--web.listen-address", "127.0.0.1:0")
    assert (2, "") == (ended.returncode, ended.stdout)
    expected = [
        "basic_auth_users.prometheus: is no bcrypt hash, expected one such as htpasswd -nBC 10 prints after the colon",
        "tls_server_config.cert_file: the file a.pem does not exist, expected a readable file in PEM",
        "tls_server_config.key_file: the file a.key does not exist, expected a readable file in PEM",
    ]
    assert [f"{web}: {problem}" for problem in expected] == ended.stderr.splitlines()
