"""People who are signed in to Grafana, asked of a stand-in that answers as Grafana does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import pytest
from starlette.requests import Request

from exporter.config.kill import GrafanaAuth
from exporter.sidecar.auth import Grafana
from exporter.sidecar.identity import AuthFailed, Principal
from tests.sidecar.auth.asking import request
from tests.sidecar.grafana import Fault, User, grafana
from tests.sidecar.grafana import Grafana as StandIn

SESSION = ("Cookie", "grafana_session=abc")
SIGNED_OUT = (401, "Sign in to Grafana, then try again.")
UNCLEAR = (503, "Grafana did not answer as expected, so that nobody can be let in. Try again in a moment.")
ALICE = Principal(provider="grafana", id="7", login="alice", role="Editor", name="Alice Example")
#: Seconds that an answer may take on a busy machine.
PATIENCE = 60.0
QUESTIONS = ["/api/user", "/api/user/orgs", "/api/user/teams"]


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


async def _ask(stand_in: StandIn, asked: Request, *, fresh: bool, **settings: Any) -> Principal | None:
    provider = Grafana(GrafanaAuth(type="grafana", url=stand_in.url, **{"timeout": PATIENCE, **settings}))
    try:
        return await provider.authenticate(asked, fresh=fresh)
    finally:
        await provider.aclose()


def ask(stand_in: StandIn, *headers: tuple[str, str], **settings: Any) -> Principal | None:
    """Return what a new provider answers to a request with these headers."""
    return asyncio.run(_ask(stand_in, request(*headers), fresh=True, **settings))


def failure(stand_in: StandIn, *headers: tuple[str, str], **settings: Any) -> tuple[int, str]:
    """Return with which status and sentence a new provider fails."""
    with pytest.raises(AuthFailed) as caught:
        ask(stand_in, *headers, **settings)
    return caught.value.status, caught.value.sentence


def test_session() -> None:
    """A session is its user, with the role and the teams of the pinned organisation."""
    user = User(roles=((2, "Admin"), (1, "Editor")), teams=((1, "sre"), (2, "others"), (1, "etl operators")))
    with grafana(abc=user) as stand_in:
        expected = Principal(
            provider="grafana",
            id="7",
            login="alice",
            role="Editor",
            teams=("sre", "etl operators"),
            name="Alice Example",
        )
        assert expected == ask(stand_in, SESSION)
        assert QUESTIONS == stand_in.paths


def test_only_the_session_is_forwarded() -> None:
    """Grafana gets that one cookie and nothing else of the request."""
    with grafana(abc=User()) as stand_in:
        ask(
            stand_in,
            ("Cookie", "grafana_session_expiry=99; grafana_session=abc; other=secret; OauthState=x"),
            ("Authorization", "Basic c2VjcmV0OnNlY3JldA=="),
            ("X-WEBAUTH-USER", "root"),
            ("X-Forwarded-For", "192.0.2.1"),
            ("User-Agent", "Browser"),
            ("Origin", "https://grafana.example.com:9878"),
        )
        for _, headers in stand_in.asked:
            names = {name.lower() for name, _ in headers}
            assert {"host", "accept", "accept-encoding", "connection", "user-agent", "cookie"} == names
            assert "grafana_session=abc" == dict(headers)["Cookie"]
            assert dict(headers)["User-Agent"].startswith("dumbella-exporter/")
            assert stand_in.url == f"http://{dict(headers)['Host']}"


def test_renewed_cookie_is_not_kept() -> None:
    """A cookie that Grafana sets in an answer is not sent with the next question."""
    with grafana(abc=User(), xyz=User(id=8, login="bob")) as stand_in:

        async def twice() -> list[Principal | None]:
            provider = Grafana(GrafanaAuth(type="grafana", url=stand_in.url, timeout=PATIENCE))
            try:
                cookies = ("grafana_session=abc", "grafana_session=xyz")
                return [await provider.authenticate(request(("Cookie", cookie)), fresh=True) for cookie in cookies]
            finally:
                await provider.aclose()

        first, second = asyncio.run(twice())
        assert ALICE == first
        assert second is not None
        assert "bob" == second.login
        assert {"grafana_session=abc", "grafana_session=xyz"} == {
            dict(headers)["Cookie"] for _, headers in stand_in.asked
        }


def test_configured_cookie() -> None:
    """The cookie has the name of the configuration, and no other counts."""
    with grafana(abc=User()) as stand_in:
        stand_in.cookie_name = "session-of-grafana"
        cookie = ("Cookie", "grafana_session=nothing; session-of-grafana=abc")
        assert ALICE == ask(stand_in, cookie, cookie_name="session-of-grafana")
        assert ask(stand_in, SESSION, cookie_name="session-of-grafana") is None


@pytest.mark.parametrize(
    "cookie",
    ["", "a=b", "Grafana_Session=abc", "xgrafana_session=abc", "grafana_session", "grafana_session_expiry=1", "=abc"],
)
def test_no_session(cookie: str) -> None:
    """Without the cookie there is no credential, and Grafana is not asked."""
    with grafana(abc=User()) as stand_in:
        assert ask(stand_in, ("Cookie", cookie)) is None
        assert [] == stand_in.asked


@pytest.mark.parametrize("value", ["", "a b", 'a"b', "a,b", "a\\b", "\x7f", "\xe9", "a" * 4097])
def test_odd_cookie(value: str) -> None:
    """A value that no cookie can have is no session, and Grafana is not asked."""
    with grafana(abc=User()) as stand_in:
        assert SIGNED_OUT == failure(stand_in, ("Cookie", f"grafana_session={value}"))
        assert [] == stand_in.asked


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param((("Cookie", "grafana_session=abc; grafana_session=xyz"),), id="in-one-header"),
        pytest.param((SESSION, ("Cookie", "grafana_session=xyz")), id="in-two-headers"),
        pytest.param((SESSION, SESSION), id="the-same-twice"),
    ],
)
def test_two_sessions(headers: tuple[tuple[str, str], ...]) -> None:
    """With two session cookies it is unclear whose session it is, and nobody is let in."""
    with grafana(abc=User(), xyz=User(id=8, login="mallory")) as stand_in:
        expected = "The browser sent 2 cookies named grafana_session; delete them, sign in to Grafana, then try again."
        assert (401, expected) == failure(stand_in, *headers)
        assert [] == stand_in.asked


def test_unknown_session() -> None:
    """A session that Grafana does not know is somebody who has to sign in."""
    with grafana(abc=User()) as stand_in:
        assert SIGNED_OUT == failure(stand_in, ("Cookie", "grafana_session=xyz"))


@pytest.mark.parametrize("path", QUESTIONS)
def test_rotation(path: str) -> None:
    """A session whose token is due for rotation is somebody who has to open Grafana, whichever question says so."""
    with grafana(abc=User()) as stand_in:
        stand_in.fault, stand_in.faulty = "rotate", (path,)
        assert SIGNED_OUT == failure(stand_in, SESSION)


@pytest.mark.parametrize(
    "user",
    [
        pytest.param(User(id=0, login=""), id="anonymous"),
        pytest.param(User(id=0), id="zero"),
        pytest.param(User(id=-1), id="negative"),
        pytest.param(User(id=True), id="boolean"),
        pytest.param(User(id="7"), id="text"),
        pytest.param(User(id=7.0), id="fraction"),
        pytest.param(User(id=None), id="null"),
        pytest.param(User(login=None), id="no-login"),
        pytest.param(User(login="alice\u202e"), id="bidi-login"),
        pytest.param(User(disabled=True), id="disabled"),
    ],
)
def test_no_real_user(user: User) -> None:
    """Whoever is anonymous, disabled or malformed is nobody."""
    with grafana(abc=user) as stand_in:
        assert SIGNED_OUT == failure(stand_in, SESSION)


@pytest.mark.parametrize(
    ("role", "min_role", "enters"),
    [
        ("Viewer", "Viewer", True),
        ("Viewer", "Editor", False),
        ("Viewer", "Admin", False),
        ("Editor", "Viewer", True),
        ("Editor", "Editor", True),
        ("Editor", "Admin", False),
        ("Admin", "Viewer", True),
        ("Admin", "Editor", True),
        ("Admin", "Admin", True),
        ("None", "Viewer", False),
        ("admin", "Viewer", False),
    ],
)
def test_roles(role: str, min_role: str, enters: bool) -> None:
    """The role in the organisation has to be the least one that is configured, or a greater one."""
    with grafana(abc=User(roles=((1, role),))) as stand_in:
        if enters:
            principal = ask(stand_in, SESSION, min_role=min_role)
            assert principal is not None
            assert role == principal.role
        else:
            expected = f"This needs the role {min_role} in Grafana's organisation 1; you are signed in as alice."
            assert (403, expected) == failure(stand_in, SESSION, min_role=min_role)


def test_other_organisation() -> None:
    """A role in another organisation does not count, nor does a team of it."""
    with grafana(abc=User(roles=((2, "Admin"),), teams=((2, "sre"),))) as stand_in:
        expected = (
            "This needs the role Editor or membership in sre in Grafana's organisation 1; you are signed in as alice."
        )
        assert (403, expected) == failure(stand_in, SESSION, teams=("sre",))
        principal = ask(stand_in, SESSION, org_id=2)
        assert principal is not None
        assert ("Admin", ("sre",)) == (principal.role, principal.teams)


def test_team() -> None:
    """A member of a configured team may enter with any role."""
    with grafana(abc=User(roles=((1, "Viewer"),), teams=((1, "etl"),))) as stand_in:
        principal = ask(stand_in, SESSION, teams=("sre", "etl"))
        assert principal is not None
        assert ("Viewer", ("etl",)) == (principal.role, principal.teams)


@pytest.mark.parametrize("path", QUESTIONS)
@pytest.mark.parametrize(
    "fault", ["origin", "silent", "trickle", "endless", "html", "redirect", "gzip", "error", "deep", "reset"]
)
def test_faults(fault: Fault, path: str, caplog: pytest.LogCaptureFixture) -> None:
    """When a question is not answered in time, in size and in JSON nobody is let in, and one line says why."""
    with grafana(abc=User()) as stand_in:
        stand_in.fault, stand_in.faulty = fault, (path,)
        assert UNCLEAR == failure(stand_in, SESSION, timeout=0.3 if fault in {"silent", "trickle"} else PATIENCE)
        assert ["Grafana does not say who is signed in"] == [record.message for record in caplog.records]
        (reason,) = (getattr(record, "fields")["reason"] for record in caplog.records)  # noqa: B009 - an extra of ours
        if fault in {"silent", "trickle"}:
            # A busy machine may let another question be the first that is late.
            assert reason.endswith(" was not answered within 0.3 s")
        else:
            assert path == reason.partition(" ")[0]
        assert "abc" not in reason


@pytest.mark.parametrize("path", ["/api/user"])
def test_other_form(path: str) -> None:
    """An answer that is JSON of another form lets nobody in."""
    with grafana(abc=User()) as stand_in:
        stand_in.fault, stand_in.faulty = "list", (path,)
        assert UNCLEAR == failure(stand_in, SESSION)


def test_nothing_listens() -> None:
    """When Grafana cannot be reached nobody is let in."""
    with grafana() as stand_in:
        pass
    assert UNCLEAR == failure(stand_in, SESSION)


def test_trouble_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """A Grafana that stays away is one line in the log; when it comes and goes again there is another."""

    async def visits(stand_in: StandIn) -> None:
        provider = Grafana(GrafanaAuth(type="grafana", url=stand_in.url, timeout=PATIENCE))
        for number in range(5):
            stand_in.fault = "" if number == 3 else "error"
            with contextlib.suppress(AuthFailed):
                await provider.authenticate(request(SESSION), fresh=True)
        await provider.aclose()

    with grafana(abc=User()) as stand_in:
        asyncio.run(visits(stand_in))
    assert 2 == len(caplog.records)


def test_pages_trust_an_answer_for_half_a_minute() -> None:
    """A page within 30 seconds asks nothing; a kill always asks; later a page asks again."""
    clock = Clock()

    async def visits(stand_in: StandIn) -> list[int]:
        provider = Grafana(GrafanaAuth(type="grafana", url=stand_in.url, timeout=PATIENCE), clock)
        asked = []
        for seconds, fresh in ((0.0, False), (29.9, False), (0.0, True), (29.9, False), (0.2, False)):
            clock.now += seconds
            assert ALICE == await provider.authenticate(request(SESSION), fresh=fresh)
            asked.append(len(stand_in.asked))
        await provider.aclose()
        return asked

    with grafana(abc=User()) as stand_in:
        assert [3, 3, 6, 6, 9] == asyncio.run(visits(stand_in))


def test_withdrawn_session_is_forgotten() -> None:
    """When a kill finds that a session has ended, pages do not trust it any longer either."""

    async def visits(stand_in: StandIn) -> list[bool]:
        provider = Grafana(GrafanaAuth(type="grafana", url=stand_in.url, timeout=PATIENCE), Clock())
        let_in = []
        for fresh in (False, False, True, False):
            try:
                let_in.append(await provider.authenticate(request(SESSION), fresh=fresh) == ALICE)
            except AuthFailed:
                let_in.append(False)
            if len(let_in) == 2:
                stand_in.sessions.clear()
        await provider.aclose()
        return let_in

    with grafana(abc=User()) as stand_in:
        assert [True, True, False, False] == asyncio.run(visits(stand_in))


def test_failures_are_not_remembered() -> None:
    """Whoever signs in to Grafana after being refused gets in at once."""

    async def visits(stand_in: StandIn) -> Principal | None:
        provider = Grafana(GrafanaAuth(type="grafana", url=stand_in.url, timeout=PATIENCE), Clock())
        try:
            with pytest.raises(AuthFailed):
                await provider.authenticate(request(SESSION), fresh=False)
            stand_in.sessions["abc"] = User()
            return await provider.authenticate(request(SESSION), fresh=False)
        finally:
            await provider.aclose()

    with grafana() as stand_in:
        assert ALICE == asyncio.run(visits(stand_in))


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that the environment names does not get to see the cookie."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with grafana(abc=User()) as stand_in:
        assert ALICE == ask(stand_in, SESSION)


def test_cookie_is_kept_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the log at its most talkative nor the provider's memory holds the cookie."""
    caplog.set_level(logging.DEBUG, logger="exporter")
    session = "0123456789abcdef0123456789abcdef"

    async def visit(stand_in: StandIn) -> str:
        provider = Grafana(GrafanaAuth(type="grafana", url=stand_in.url, timeout=PATIENCE))
        await provider.authenticate(request(("Cookie", f"grafana_session={session}")), fresh=False)
        stand_in.fault = "error"
        with pytest.raises(AuthFailed):
            await provider.authenticate(request(("Cookie", f"grafana_session={session}")), fresh=True)
        await provider.aclose()
        return repr(vars(provider))

    with grafana(**{session: User()}) as stand_in:
        assert session not in asyncio.run(visit(stand_in))
    assert session not in caplog.text
