"""Proxies and Grafana as providers of a running sidecar: who kills, who does not, and what they are told."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import pytest

from tests import loopback
from tests.installation import Simulator
from tests.processes import poll
from tests.sidecar.grafana import Fault, Grafana, User, grafana
from tests.sidecar.running import (
    PATIENT,
    SAME_ORIGIN,
    WIDE,
    Sidecar,
    begin,
    confirm,
    ended,
    final_state,
    form,
    link,
    say,
    sidecar,
)

#: Another address of this machine, which is no trusted proxy.
ELSEWHERE = "127.0.0.2"
PROXY = "  auth: [{type: proxy}]\n  trusted_proxies: [127.0.0.1]\n"
GROUPS = """\
  policy:
    - {name: never, effect: deny, jobs: ["*"], principals: ["group:interns"]}
    - {name: sre, effect: allow, jobs: ["etl_*"], principals: ["group:sre", "user:root"], cooldown: 0s}
"""
TEAMS = '  policy: [{name: sre, effect: allow, jobs: ["etl_*"], principals: ["team:sre"], cooldown: 0s}]\n'


@pytest.fixture
def run(installation: Simulator) -> dict[str, Any]:
    """One run that lasts."""
    return begin(installation)[0]


class TestProxy:
    """A proxy that signs people in, and others who say that they are one."""

    @pytest.fixture(scope="class")
    @staticmethod
    def proxied(tmp_path_factory: pytest.TempPathFactory, installation: Simulator) -> Iterator[Sidecar]:
        """A sidecar that trusts a proxy on one address of this machine."""
        with sidecar(tmp_path_factory.mktemp("proxied"), installation, auth=PROXY, policy=GROUPS) as running:
            yield running

    @staticmethod
    def signed_in(sidecar: Sidecar, user: str, groups: str, *, address: str = "127.0.0.1") -> httpx.Client:
        """Return a client whose requests come from ``address`` and say who somebody is."""
        headers = {"X-WEBAUTH-USER": user, "X-WEBAUTH-GROUPS": groups}
        transport = httpx.HTTPTransport(local_address=address)
        return loopback.client(base_url=sidecar.url, headers=headers, transport=transport)

    def test_group_of_the_policy_kills(self, proxied: Sidecar, installation: Simulator, run: dict[str, Any]) -> None:
        """Somebody whom the proxy puts into a group of the policy kills, and is on record by name and provider."""
        before = len(proxied.records())
        with self.signed_in(proxied, "alice", "staff, sre") as client:
            assert "<strong><bdi>alice</bdi></strong> (<bdi>alice</bdi>, by proxy)" in client.get(link(run)).text
            assert "confirmed" == final_state(client, confirm(client, run))
        assert "killed" == ended(installation, run)
        intent = proxied.records()[before]
        assert ("intent", "alice", "proxy", "sre") == (
            intent["stage"],
            intent["actor"]["login"],
            intent["actor"]["provider"],
            intent["decision"]["rule"],
        )

    @pytest.mark.parametrize("groups", ["", "staff", "SRE", "sre staff", "interns, sre"])
    def test_other_groups_do_not_kill(
        self, proxied: Sidecar, installation: Simulator, run: dict[str, Any], groups: str
    ) -> None:
        """Somebody in no group of the policy, or in one that it denies, sees no form."""
        with self.signed_in(proxied, "bob", groups) as client:
            page = client.get(link(run))
        assert (403, False, None) == (page.status_code, "<form" in page.text, ended(installation, run))

    def test_headers_from_elsewhere_do_not_kill(
        self, proxied: Sidecar, installation: Simulator, run: dict[str, Any]
    ) -> None:
        """With the form of somebody else in hand, a peer that is no trusted proxy kills nothing."""
        with (
            self.signed_in(proxied, "alice", "sre") as client,
            self.signed_in(proxied, "alice", "sre", address=ELSEWHERE) as stranger,
        ):
            fields = {**form(client.get(link(run))), "reason": ""}
            stranger.cookies.update(client.cookies)
            before = proxied.stages()
            answers = [stranger.get(link(run)), stranger.post("/kill", data=fields, headers=SAME_ORIGIN)]
        sentence = "The request says who you are, but does not come from a trusted proxy."
        assert [(401, True)] * 2 == [(answer.status_code, sentence in answer.text) for answer in answers]
        assert (before, None) == (proxied.stages(), ended(installation, run))
        failure = proxied.records()[-1]
        assert ("auth_failure", sentence, ELSEWHERE) == (
            failure["stage"],
            failure["reason"],
            failure["source"]["peer_ip"],
        )

    @pytest.mark.parametrize(
        ("headers", "sentence"),
        [
            ((), "Open this page through the proxy that signs you in."),
            (("X-WEBAUTH-USER: alice", "X-WEBAUTH-USER: root", "X-WEBAUTH-GROUPS: sre"), "sent 2 X-WEBAUTH-USER"),
            (("X-WEBAUTH-USER: alice, root", "X-WEBAUTH-GROUPS: sre"), "holds no user name"),
            (("X-WEBAUTH-USER: alice", "x-webauth-groups: a", "X-WebAuth-Groups: sre"), "2 X-WEBAUTH-GROUPS headers"),
            (("X-WEBAUTH-USER: alice",), "0 X-WEBAUTH-GROUPS headers"),
            (("X_WEBAUTH_USER: alice", "X_WEBAUTH_GROUPS: sre"), "Open this page through the proxy"),
        ],
    )
    def test_unclear_headers_open_nothing(
        self, proxied: Sidecar, run: dict[str, Any], headers: Sequence[str], sentence: str
    ) -> None:
        """Even from the proxy, headers that do not name exactly one person are a 401 that says why."""
        lines = [f"GET {link(run)} HTTP/1.1", "Host: localhost", *headers, "Connection: close"]
        status, answer = say(proxied.port, lines)
        assert (401, True, False) == (status, sentence in answer, "etl_load" in answer)


class TestGrafana:
    """Sessions of Grafana, and all that can be wrong with them between the page and the form."""

    @pytest.fixture(scope="class")
    @staticmethod
    def stand_in() -> Iterator[Grafana]:
        """A Grafana with one session."""
        with grafana() as running:
            yield running

    @pytest.fixture(scope="class")
    @staticmethod
    def live(tmp_path_factory: pytest.TempPathFactory, installation: Simulator, stand_in: Grafana) -> Iterator[Sidecar]:
        """A sidecar that does not wait long for Grafana, which may seem slow at any time on a busy machine."""
        auth = f"  auth: [{{type: grafana, url: '{stand_in.url}', min_role: Admin, teams: [sre], timeout: 500ms}}]\n"
        folder = tmp_path_factory.mktemp("grafana")
        with sidecar(folder, installation, auth=auth, policy=TEAMS, more=WIDE + PATIENT) as running:
            yield running

    @pytest.fixture
    @staticmethod
    def client(live: Sidecar, stand_in: Grafana) -> Iterator[httpx.Client]:
        """The browser of somebody in the team that may kill."""
        session = uuid.uuid4().hex
        stand_in.sessions = {session: User(teams=((1, "sre"),))}
        stand_in.fault = ""
        with live.browser(cookies={"grafana_session": session}) as client:
            yield client

    @staticmethod
    def fields(client: httpx.Client, run: dict[str, Any]) -> dict[str, str]:
        """Open the confirmation page, when Grafana is quick enough, and return its form."""

        def page() -> httpx.Response | None:
            answer = client.get(link(run))
            return answer if answer.status_code == 200 else None

        return {**form(poll(page)), "reason": ""}

    @pytest.mark.parametrize(
        ("user", "status", "sentence"),
        [
            pytest.param(None, 401, "Sign in to Grafana, then try again.", id="signed-out"),
            pytest.param(User(disabled=True, teams=((1, "sre"),)), 401, "Sign in to Grafana", id="disabled"),
            pytest.param(User(id=0, login="", roles=((1, "Admin"),)), 401, "Sign in to Grafana", id="anonymous"),
            pytest.param(
                User(roles=((2, "Admin"),), teams=((2, "sre"),)),
                403,
                "This needs the role Admin or membership in sre in Grafana&#39;s organisation 1; you are signed in as",
                id="other-organisation",
            ),
            pytest.param(User(roles=((1, "Editor"),)), 403, "This needs the role Admin", id="small-role"),
            pytest.param(User(roles=((1, "Admin"),)), 403, "may not kill anything there", id="enough-but-no-rule"),
            pytest.param(
                User(id=8, login="bob", teams=((1, "sre"),)), 403, "another session, another user", id="somebody-else"
            ),
        ],
    )
    def test_session_that_changes_kills_nothing(
        self,
        client: httpx.Client,
        live: Sidecar,
        stand_in: Grafana,
        installation: Simulator,
        run: dict[str, Any],
        *,
        user: User | None,
        status: int,
        sentence: str,
    ) -> None:
        """Whoever is signed out, disabled or moved while the page is open kills nothing, and learns why."""
        fields = self.fields(client, run)
        stand_in.sessions = {} if user is None else dict.fromkeys(stand_in.sessions, user)
        before = live.stages()
        answer = poll(lambda: _unless_unavailable(client.post("/kill", data=fields, headers=SAME_ORIGIN)))
        assert (status, True) == (answer.status_code, sentence in answer.text), answer.text
        assert (before, None) == (live.stages(), ended(installation, run))

    @pytest.mark.parametrize(
        ("fault", "status", "sentence"),
        [
            ("rotate", 401, "Sign in to Grafana, then try again."),
            ("origin", 503, "Grafana did not answer as expected"),
            ("silent", 503, "Grafana did not answer as expected"),
            ("trickle", 503, "Grafana did not answer as expected"),
            ("endless", 503, "Grafana did not answer as expected"),
            ("html", 503, "Grafana did not answer as expected"),
            ("redirect", 503, "Grafana did not answer as expected"),
            ("error", 503, "Grafana did not answer as expected"),
            ("reset", 503, "Grafana did not answer as expected"),
        ],
    )
    def test_fault_of_grafana_kills_nothing(
        self,
        client: httpx.Client,
        live: Sidecar,
        stand_in: Grafana,
        installation: Simulator,
        run: dict[str, Any],
        *,
        fault: Fault,
        status: int,
        sentence: str,
    ) -> None:
        """While Grafana does not say whose session it is, nothing is sent; when it does again, the form still works."""
        fields = self.fields(client, run)
        before = live.stages()
        stand_in.fault = fault
        answer = client.post("/kill", data=fields, headers=SAME_ORIGIN)
        if status == 401 and answer.status_code == 503:
            # On a busy machine a quick answer may come too late.
            answer = poll(lambda: _unless_unavailable(client.post("/kill", data=fields, headers=SAME_ORIGIN)))
        assert (status, True) == (answer.status_code, sentence in answer.text), answer.text
        assert (before, None) == (live.stages(), ended(installation, run))
        stand_in.fault = ""
        answer = poll(lambda: _unless_unavailable(client.post("/kill", data=fields, headers=SAME_ORIGIN)))
        assert ("confirmed", "killed") == (final_state(client, answer), ended(installation, run))


def _unless_unavailable(answer: httpx.Response) -> httpx.Response | None:
    return None if answer.status_code == 503 else answer
