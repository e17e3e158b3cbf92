"""People whom a proxy has signed in."""

from __future__ import annotations

import ipaddress

import pytest

from exporter.config.kill import ProxyAuth
from exporter.sidecar.auth import Proxy
from exporter.sidecar.identity import Principal
from tests.sidecar.auth.asking import ask, failure, request

NETWORKS = tuple(ipaddress.ip_network(network) for network in ("192.0.2.0/24", "2001:db8::/32", "fe80::/64"))
PROVIDER = Proxy(ProxyAuth(type="proxy"), NETWORKS)
USER, GROUPS = "X-WEBAUTH-USER", "X-WEBAUTH-GROUPS"
STRANGER = (401, "The request says who you are, but does not come from a trusted proxy.")


def test_user_and_groups() -> None:
    """A trusted proxy says who it is, and of which groups."""
    asked = request((USER, "alice"), (GROUPS, "sre, etl operators,,sre , "))
    expected = Principal(provider="proxy", id="alice", login="alice", groups=("sre", "etl operators"))
    assert expected == ask(PROVIDER, asked)


def test_no_groups() -> None:
    """A user may be in no group."""
    assert Principal(provider="proxy", id="alice", login="alice") == ask(
        PROVIDER, request((USER, "alice"), (GROUPS, ""))
    )


def test_utf_8() -> None:
    """Names beyond ASCII are read as UTF-8."""
    principal = ask(PROVIDER, request((USER, "Zoë".encode()), (GROUPS, "Größe".encode())))
    assert Principal(provider="proxy", id="Zoë", login="Zoë", groups=("Größe",)) == principal


def test_configured_headers() -> None:
    """Which headers count is configured; the usual ones mean nothing then."""
    provider = Proxy(ProxyAuth(type="proxy", user_header="Remote-User", groups_header="Remote-Groups"), NETWORKS)
    assert Principal(provider="proxy", id="alice", login="alice") == ask(
        provider, request(("remote-user", "alice"), ("REMOTE-GROUPS", ""), (USER, "bob"), (GROUPS, "sre"))
    )


def test_without_headers() -> None:
    """Without the headers there is no credential, from wherever the request comes."""
    assert [None, None] == [ask(PROVIDER, request(peer=peer)) for peer in ("192.0.2.7", "198.51.100.1")]


@pytest.mark.parametrize("peer", ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "fe80::1%eth0"])
def test_trusted_peers(peer: str) -> None:
    """A peer in one of the networks is trusted, an IPv4 one also in IPv6's clothes, and one with a zone."""
    principal = ask(PROVIDER, request((USER, "alice"), (GROUPS, ""), peer=peer))
    assert principal is not None
    assert "alice" == principal.login


@pytest.mark.parametrize("peer", ["198.51.100.1", "::ffff:198.51.100.1", "::192.0.2.1", "::1", "127.0.0.1"])
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(((USER, "alice"), (GROUPS, "sre")), id="both"),
        pytest.param(((USER, "alice"),), id="user"),
        pytest.param(((GROUPS, "sre"),), id="groups"),
        pytest.param(((USER, ""),), id="empty-user"),
    ],
)
def test_strangers(peer: str, headers: tuple[tuple[str, str], ...]) -> None:
    """From anyone else the mere presence of one of the headers is refused, not ignored."""
    assert STRANGER == failure(PROVIDER, request(*headers, peer=peer))


def test_forwarded_address_means_nothing() -> None:
    """What a request says about its origin makes nobody trusted."""
    asked = request(
        (USER, "alice"), (GROUPS, ""), ("X-Forwarded-For", "192.0.2.7"), ("X-Real-IP", "192.0.2.7"), peer="198.51.100.1"
    )
    assert STRANGER == failure(PROVIDER, asked)


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        pytest.param(
            ((USER, "alice"), (USER, "root"), (GROUPS, "")),
            "The proxy sent 2 X-WEBAUTH-USER and 1 X-WEBAUTH-GROUPS headers, expected one of each.",
            id="two-users",
        ),
        pytest.param(
            ((USER, "alice"), (GROUPS, "etl"), (GROUPS, "sre")),
            "The proxy sent 1 X-WEBAUTH-USER and 2 X-WEBAUTH-GROUPS headers, expected one of each.",
            id="two-groups",
        ),
        pytest.param(
            ((USER, "alice"),),
            "The proxy sent 1 X-WEBAUTH-USER and 0 X-WEBAUTH-GROUPS headers, expected one of each.",
            id="no-groups",
        ),
        pytest.param(
            ((GROUPS, "sre"),),
            "The proxy sent 0 X-WEBAUTH-USER and 1 X-WEBAUTH-GROUPS headers, expected one of each.",
            id="no-user",
        ),
        pytest.param(((USER, ""), (GROUPS, "")), "The proxy's X-WEBAUTH-USER header holds no user name.", id="empty"),
        pytest.param(
            ((USER, "alice, root"), (GROUPS, "")), "The proxy's X-WEBAUTH-USER header holds no user name.", id="joined"
        ),
        pytest.param(
            ((USER, "a" * 257), (GROUPS, "")), "The proxy's X-WEBAUTH-USER header holds no user name.", id="long"
        ),
        pytest.param(((USER, b"\xff"), (GROUPS, "")), "The proxy's headers are not in UTF-8.", id="latin-1"),
        pytest.param(
            ((USER, "alice\u202e".encode()), (GROUPS, "")),
            "The proxy's headers hold characters that cannot be shown.",
            id="bidi",
        ),
        pytest.param(
            ((USER, "alice"), (GROUPS, "a\tb")), "The proxy's headers hold characters that cannot be shown.", id="tab"
        ),
    ],
)
def test_unclear_headers(headers: tuple[tuple[str, str | bytes], ...], sentence: str) -> None:
    """Headers that do not name exactly one user and one list of groups let nobody in."""
    assert (401, sentence) == failure(PROVIDER, request(*headers))
