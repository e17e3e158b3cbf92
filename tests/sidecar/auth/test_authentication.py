"""The providers in their order, and the users of the web configuration."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ipaddress
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from starlette.requests import Request

from exporter.config import ConfigError
from exporter.config.kill import ApiToken, Audit, BasicAuth, GrafanaAuth, Kill, KillTarget, ProxyAuth, TokenAuth
from exporter.server.webaccess import WebConfigFile
from exporter.sidecar.auth import Authentication, Result
from exporter.sidecar.identity import AuthFailed, Principal
from tests.sidecar.auth.asking import request
from tests.sidecar.grafana import User, grafana

PROXY = ProxyAuth(type="proxy")
BASIC = BasicAuth(type="basic")
TOKEN = TokenAuth(type="token", tokens=(ApiToken(name="ci", sha256=hashlib.sha256(b"secret").hexdigest()),))
PROXY_HEADERS = (("X-WEBAUTH-USER", "bob"), ("X-WEBAUTH-GROUPS", "sre"))
BASIC_HEADER = ("Authorization", "Basic " + base64.b64encode(b"carol:pass:word").decode())
WRONG_BASIC_HEADER = ("Authorization", "Basic " + base64.b64encode(b"carol:password").decode())
TOKEN_HEADER = ("Authorization", "Bearer secret")
COOKIE = ("Cookie", "grafana_session=abc")


@pytest.fixture
def web(tmp_path: Path) -> WebConfigFile:
    """A web configuration with one user."""
    path = tmp_path / "web.yml"
    path.write_text(f"basic_auth_users: {{carol: '{bcrypt.hashpw(b'pass:word', bcrypt.gensalt(4)).decode()}'}}\n")
    return WebConfigFile(path)


def kill(*entries: Any) -> Kill:
    """Return a section with these providers."""
    return Kill(
        public_url="https://grafana.example.com:9878",
        targets={"production": KillTarget()},
        audit=Audit(file=Path("audit.jsonl")),
        trusted_proxies=(ipaddress.ip_network("192.0.2.0/24"),),
        auth=entries,
    )


def person(
    section: Kill, asked: Request, web: WebConfigFile | None = None, observed: list[tuple[str, Result]] | None = None
) -> Principal:
    """Return who asks for a page."""
    return asyncio.run(_asking(section, asked, web, observed, api=False))


def program(section: Kill, asked: Request, observed: list[tuple[str, Result]] | None = None) -> Principal:
    """Return who calls the API."""
    return asyncio.run(_asking(section, asked, None, observed, api=True))


async def _asking(
    section: Kill,
    asked: Request,
    web: WebConfigFile | None,
    observed: list[tuple[str, Result]] | None,
    *,
    api: bool,
) -> Principal:
    seen: list[tuple[str, Result]] = [] if observed is None else observed
    async with Authentication.configured(section, web, lambda *decided: seen.append(decided)) as authentication:
        return await (authentication.program if api else authentication.person)(asked, fresh=False)


def test_no_provider() -> None:
    """Without a provider everyone on the pages is user:local, and nobody may use the API."""
    assert Principal(provider="local", id="local", login="local") == person(kill(), request())
    with pytest.raises(AuthFailed):
        program(kill(), request(TOKEN_HEADER))


def test_basic(web: WebConfigFile) -> None:
    """A user of the web configuration gets in with the password, and not with another."""
    assert Principal(provider="basic", id="carol", login="carol") == person(kill(BASIC), request(BASIC_HEADER), web)
    with pytest.raises(AuthFailed) as caught:
        person(kill(BASIC), request(WRONG_BASIC_HEADER), web)
    assert (401, "The user name or the password is wrong.") == (caught.value.status, caught.value.sentence)


def test_basic_twice(web: WebConfigFile) -> None:
    """Two Authorization headers are no login."""
    with pytest.raises(AuthFailed):
        person(kill(BASIC), request(BASIC_HEADER, BASIC_HEADER), web)


def test_basic_without_users(tmp_path: Path) -> None:
    """The provider basic needs a web configuration with users, which is said at the start."""
    path = tmp_path / "web.yml"
    path.write_text("http_server_config: {}\n")
    for nobody in (None, WebConfigFile(path)):
        with pytest.raises(ConfigError) as caught:
            Authentication.configured(kill(PROXY, BASIC), nobody)
        assert (
            "kill.auth[1]: has no users to take, expected --web.config.file with basic_auth_users",
        ) == caught.value.problems


def test_first_credential_decides(web: WebConfigFile) -> None:
    """With several credentials in a request the provider that is configured first decides."""
    asked = request(*PROXY_HEADERS, BASIC_HEADER)
    assert "bob" == person(kill(PROXY, BASIC), asked, web).login
    assert "carol" == person(kill(BASIC, PROXY), asked, web).login


def test_bad_credential_decides_too(web: WebConfigFile) -> None:
    """A bad credential of an earlier provider is not made good by a later one."""
    asked = request(*PROXY_HEADERS, WRONG_BASIC_HEADER)
    with pytest.raises(AuthFailed):
        person(kill(BASIC, PROXY), asked, web)
    assert "bob" == person(kill(PROXY, BASIC), asked, web).login


def test_all_four_together(web: WebConfigFile) -> None:
    """Each provider finds its own credential and leaves the others' alone."""
    with grafana(abc=User()) as stand_in:
        section = kill(GrafanaAuth(type="grafana", url=stand_in.url, timeout=60.0), PROXY, BASIC, TOKEN)
        found = [person(section, request(*headers), web) for headers in ((COOKIE,), PROXY_HEADERS, (BASIC_HEADER,))]
    assert ["grafana", "proxy", "basic"] == [principal.provider for principal in found]
    assert ["7", "bob", "carol"] == [principal.id for principal in found]


def test_api_takes_tokens_only(web: WebConfigFile) -> None:
    """What browsers send by themselves does not open the API, and a token opens no page."""
    section = kill(PROXY, BASIC, TOKEN)
    assert "ci" == asyncio.run(_asking(section, request(TOKEN_HEADER), web, None, api=True)).login
    for headers in (PROXY_HEADERS, (BASIC_HEADER,), (COOKIE,)):
        with pytest.raises(AuthFailed):
            asyncio.run(_asking(section, request(*headers), web, None, api=True))
    with pytest.raises(AuthFailed):
        person(section, request(TOKEN_HEADER), web)


def test_nobody(web: WebConfigFile) -> None:
    """Without any credential the answer is 401 and says what there is to do."""
    section = kill(GrafanaAuth(type="grafana", url="http://127.0.0.1:1"), PROXY, BASIC, TOKEN)
    with pytest.raises(AuthFailed) as caught:
        person(section, request(), web)
    assert (
        401,
        (
            "Sign in to Grafana, then try again. Or: Open this page through the proxy that signs you in."
            " Or: Log in with your user name and password."
        ),
    ) == (caught.value.status, caught.value.sentence)
    with pytest.raises(AuthFailed) as caught:
        asyncio.run(_asking(section, request(), web, None, api=True))
    assert "Send a bearer token in the Authorization header." == caught.value.sentence


def test_challenges(web: WebConfigFile) -> None:
    """Pages ask for a password where there are passwords, the API for a token."""
    authentication = Authentication.configured(kill(PROXY, BASIC, TOKEN), web)
    assert ('Basic realm="dumbella-exporter sidecar", charset="UTF-8"',) == authentication.page_challenges
    assert ('Bearer realm="dumbella-exporter sidecar"',) == authentication.api_challenges


def test_decisions_are_counted(web: WebConfigFile) -> None:
    """Every decision is told once, with its provider."""
    seen: list[tuple[str, Result]] = []
    with grafana(abc=User(), xyz=User(roles=((1, "Viewer"),))) as stand_in:
        section = kill(GrafanaAuth(type="grafana", url=stand_in.url, timeout=60.0), PROXY, BASIC)
        person(section, request(*PROXY_HEADERS), web, seen)
        for asked in (request(), request(WRONG_BASIC_HEADER), request(("Cookie", "grafana_session=xyz"))):
            with pytest.raises(AuthFailed):
                person(section, asked, web, seen)
        stand_in.fault = "error"
        with pytest.raises(AuthFailed):
            person(section, request(COOKIE), web, seen)
    assert [
        ("proxy", "success"),
        ("none", "absent"),
        ("basic", "rejected"),
        ("grafana", "rejected"),
        ("grafana", "unavailable"),
    ] == seen
