"""The section ``kill``: what it needs, and the ways of starting that are refused."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from exporter.config import Config, ConfigError, load, warnings
from exporter.config.kill import Audit, BasicAuth, Kill, KillTarget, refusals
from exporter.sidecar.identity import Principal

TARGET = 'targets: [{name: production, url: "https://apps.example.com", applications: [K7SALES]}]\n'
KILL = "kill: {public_url: https://grafana.example.com:9878, targets: {production: {}}, audit: {file: audit.jsonl}}\n"


def read(folder: Path, text: str, **options: Any) -> Config:
    """Load a configuration that consists of ``text``."""
    path = folder / "dumbella.yml"
    path.write_text(text, encoding="utf-8")
    return load(path, **options)


def kill(**settings: Any) -> Kill:
    """Return a valid section with ``settings`` on top."""
    base: dict[str, Any] = {
        "public_url": "https://grafana.example.com:9878",
        "targets": {"production": KillTarget()},
        "audit": Audit(file=Path("audit.jsonl")),
    }
    return Kill(**{**base, **settings})


class TestSection:
    """The section as a whole."""

    def test_smallest_section_kills_nothing(self, tmp_path: Path) -> None:
        """Without a policy nobody may kill, and without a mode nothing is killed."""
        section = read(tmp_path, TARGET + KILL, purpose="sidecar").sidecar
        assert ("dry_run", (), (), None) == (section.mode, section.policy, section.auth, section.view.min_role)

    def test_sidecar_needs_its_section(self, tmp_path: Path) -> None:
        """The sidecar says that its section is missing; the exporter and the check do without."""
        with pytest.raises(ConfigError, match="kill: is missing or empty, expected the sidecar's section"):
            read(tmp_path, TARGET, purpose="sidecar")
        assert {} == read(tmp_path, TARGET, purpose="serve").kill == read(tmp_path, TARGET, purpose="all").kill

    def test_exporter_does_not_look_into_the_section(self, tmp_path: Path) -> None:
        """Whatever is wrong in the section, the exporter starts."""
        assert {"mode": "alive"} == read(tmp_path, f"{TARGET}kill: {{mode: alive}}\n", purpose="serve").kill

    def test_audit_file_is_beside_the_configuration(self, tmp_path: Path) -> None:
        """A relative audit file lies in the configuration file's folder."""
        assert tmp_path / "audit.jsonl" == read(tmp_path, TARGET + KILL, purpose="sidecar").sidecar.audit.file

    @pytest.mark.parametrize(
        ("url", "prefix", "secure"),
        [
            ("https://grafana.example.com:9878", "", True),
            ("https://grafana.example.com/grafana/kill-sidecar/", "/grafana/kill-sidecar", True),
            ("http://localhost:9878", "", False),
        ],
    )
    def test_public_url_tells_prefix_and_encryption(self, url: str, prefix: str, secure: bool) -> None:
        """The path of the public address is the prefix of all pages."""
        assert (prefix, secure) == (kill(public_url=url).prefix, kill(public_url=url).secure)


class TestRefusals:
    """Ways of starting that are refused for where the sidecar would listen."""

    @pytest.mark.parametrize(
        ("settings", "loopback", "tls", "insecure", "refused"),
        [
            ({}, True, False, False, []),
            ({}, False, False, False, ["kill.auth"]),
            ({}, False, False, True, []),
            ({"auth": (BasicAuth(type="basic"),)}, False, False, False, ["kill.behind_tls_proxy"]),
            ({"auth": (BasicAuth(type="basic"),)}, False, True, False, []),
            ({"auth": (BasicAuth(type="basic"),)}, True, False, False, []),
            ({"auth": (BasicAuth(type="basic"),), "behind_tls_proxy": True}, False, False, False, []),
            ({"auth": (BasicAuth(type="basic"),), "public_url": "http://localhost:9878"}, False, False, False, []),
        ],
    )
    def test_start_is_refused_where_credentials_or_kills_would_be_open(
        self, settings: dict[str, Any], loopback: bool, tls: bool, insecure: bool, refused: list[str]
    ) -> None:
        """Off this machine the sidecar wants a provider and encryption."""
        lines = refusals(kill(**settings), loopback=loopback, tls=tls, insecure_no_auth=insecure)
        assert refused == [line.partition(":")[0] for line in lines]


class TestWarnings:
    """What is legal but unwise; the sentences are in tests/config/good."""

    HASH = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"
    EXPIRING = KILL.replace(
        "kill: {",
        f'kill: {{auth: [{{type: token, tokens: [{{name: ci, sha256: "{HASH}", expires: 2027-06-30}}]}}],'
        ' policy: [{name: ci, effect: allow, principals: ["token:ci"]}], ',
    )

    def test_token_is_warned_about_after_its_last_day(self, tmp_path: Path) -> None:
        """On its last day a token is good, on the next one it is not."""
        config = read(tmp_path, TARGET + self.EXPIRING, purpose="sidecar")
        sentence = "2027-06-30 is over, so that the token is refused, expected a later day"
        found = [warnings(config, dt.date(2027, month, day)) for month, day in ((6, 30), (7, 1))]
        assert [[], [f"{config.path}: kill.auth[0].tokens[0].expires: {sentence}"]] == found

    def test_exporter_is_not_warned_about_the_section(self, tmp_path: Path) -> None:
        """The exporter does not look into the section."""
        assert [] == warnings(read(tmp_path, TARGET + KILL, purpose="serve"))


class TestPrincipal:
    """What a policy may call a principal."""

    def test_person_has_a_login_role_teams_and_groups(self) -> None:
        """Every name exists unqualified and qualified by its provider."""
        alice = Principal("grafana", "7", "alice", role="Editor", teams=("sre",), groups=("ops",))
        unqualified = ["user:alice", "role:Editor", "team:sre", "group:ops"]
        assert {*unqualified, *(f"grafana:{name}" for name in unqualified)} == set(alice.names())

    def test_token_is_no_user(self) -> None:
        """A token called like a user does not match that user's rules."""
        assert ["token:alice", "token:token:alice"] == list(Principal("token", "alice", "alice").names())
