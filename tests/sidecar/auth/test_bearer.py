"""Programs with a token."""

from __future__ import annotations

import datetime as dt
import hashlib

import pytest

from exporter.config.kill import ApiToken
from exporter.sidecar.auth import Bearer
from exporter.sidecar.identity import Principal
from tests.sidecar.auth.asking import ask, failure, request


def token(name: str, secret: str, *, expires: dt.date | None = None, targets: tuple[str, ...] = ("*",)) -> ApiToken:
    """Return a token as the configuration holds it."""
    return ApiToken(name=name, sha256=hashlib.sha256(secret.encode()).hexdigest(), expires=expires, targets=targets)


TOKENS = (
    token("ci", "first-secret", targets=("test_*",)),
    token("nightly", "second-secret", expires=dt.date(2027, 6, 30)),
)
PROVIDER = Bearer(TOKENS, today=lambda: dt.date(2027, 6, 30))


def bearer(secret: str, scheme: str = "Bearer") -> tuple[str, str]:
    """Return an ``Authorization`` header."""
    return ("Authorization", f"{scheme} {secret}")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_known_token(scheme: str) -> None:
    """A known token is its name, with its targets."""
    expected = Principal(provider="token", id="ci", login="ci", targets=("test_*",))
    assert expected == ask(PROVIDER, request(bearer("first-secret", scheme)))


def test_last_day() -> None:
    """A token is good to the end of the day on which it expires, in UTC."""
    assert Principal(provider="token", id="nightly", login="nightly") == ask(PROVIDER, request(bearer("second-secret")))
    tomorrow = Bearer(TOKENS, today=lambda: dt.date(2027, 7, 1))
    assert (401, "The bearer token nightly has expired, on 2027-06-30.") == failure(
        tomorrow, request(bearer("second-secret"))
    )


def test_without_token() -> None:
    """A request without a bearer token carries no credential of this provider."""
    others = [request(), request(("Authorization", "Basic YTpi")), request(("X-Token", "first-secret"))]
    assert [None, None, None] == [ask(PROVIDER, other) for other in others]


@pytest.mark.parametrize(
    "secret",
    ["", "first-secreT", "first-secret2", TOKENS[0].sha256, "first-secret second-secret", "\xff", "a" * 30_000],
)
def test_unknown_tokens(secret: str) -> None:
    """Anything else is unknown, a token's hash included."""
    assert (401, "The bearer token is not known.") == failure(PROVIDER, request(bearer(secret)))


def test_several_headers() -> None:
    """With several Authorization headers none of them counts."""
    asked = request(bearer("first-secret"), bearer("second-secret"))
    assert (401, "The request has several Authorization headers, expected one.") == failure(PROVIDER, asked)
