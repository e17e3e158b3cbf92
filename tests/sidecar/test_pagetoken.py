"""Page tokens: bound to who was shown what, and soon too old."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sidecar.identity import Principal
from exporter.sidecar.pagetoken import PageTokens, TokenRefused, is_nonce, new_nonce
from exporter.sidecar.subject import Subject

ALICE = Principal("grafana", "7", "alice")
RUN = Subject("production", "K7SALES", "e-1", "4711", "etl_load_0.1", 1_700_000_000.25)
NONCE = new_nonce()


def tokens(now: float = 1000.0, secret_file: Path | None = None) -> PageTokens:
    """Return tokens of five minutes on a clock that stands still."""
    return PageTokens(secret_file, 300, lambda: now)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A file with a key."""
    path = tmp_path / "key"
    path.write_text("0123456789abcdef0123456789abcdef\n")
    return path


class TestPageTokens:
    """What is accepted, and what is not."""

    def test_token_is_good_for_what_was_shown(self) -> None:
        """A token is accepted for the same user, session and run."""
        ours = tokens()
        ours.check(ours.make(ALICE, NONCE, RUN), ALICE, NONCE, RUN)

    def test_same_second_is_the_same_start(self) -> None:
        """Starts are compared to the second, as links carry no more."""
        ours = tokens()
        ours.check(ours.make(ALICE, NONCE, RUN), ALICE, NONCE, replace(RUN, started_at=1_700_000_000.75))

    @pytest.mark.parametrize(
        "change",
        [
            {"target": "staging"},
            {"application": "M2STOCK"},
            {"execution_id": "e-2"},
            {"job_id": "4712"},
            {"started_at": 1_700_000_001.0},
            {"started_at": None},
        ],
    )
    def test_token_of_another_run_is_refused(self, change: dict[str, Any]) -> None:
        """Each part of the run counts."""
        ours = tokens()
        token = ours.make(ALICE, NONCE, RUN)
        with pytest.raises(TokenRefused, match="another session, another user or another run"):
            ours.check(token, ALICE, NONCE, replace(RUN, **change))

    @pytest.mark.parametrize(
        ("principal", "nonce"),
        [(replace(ALICE, id="8"), NONCE), (replace(ALICE, provider="basic"), NONCE), (ALICE, new_nonce())],
    )
    def test_token_of_another_person_or_session_is_refused(self, principal: Principal, nonce: str) -> None:
        """Provider, stable id and session count; the login may change."""
        ours = tokens()
        token = ours.make(ALICE, NONCE, RUN)
        with pytest.raises(TokenRefused, match="another session, another user or another run"):
            ours.check(token, principal, nonce, RUN)
        ours.check(token, replace(ALICE, login="alice.cooper", role="Admin"), NONCE, RUN)

    def test_token_expires(self, key: Path) -> None:
        """After its lifetime a token is too old, to the second."""
        token = tokens(1000, key).make(ALICE, NONCE, RUN)
        tokens(1299, key).check(token, ALICE, NONCE, RUN)
        with pytest.raises(TokenRefused, match="too old"):
            tokens(1300, key).check(token, ALICE, NONCE, RUN)

    def test_later_expiry_does_not_fit_the_seal(self) -> None:
        """Nobody can prolong a token."""
        ours = tokens()
        _, _, seal = ours.make(ALICE, NONCE, RUN).partition(".")
        with pytest.raises(TokenRefused, match="another session"):
            ours.check(f"9999.{seal}", ALICE, NONCE, RUN)

    def test_key_in_a_file_outlives_the_process(self, key: Path) -> None:
        """With a key in a file, tokens stay good over a restart; without one, they do not."""
        tokens(secret_file=key).check(tokens(secret_file=key).make(ALICE, NONCE, RUN), ALICE, NONCE, RUN)
        with pytest.raises(TokenRefused):
            tokens().check(tokens().make(ALICE, NONCE, RUN), ALICE, NONCE, RUN)

    @given(text=st.text(max_size=80))
    def test_no_other_text_is_a_token(self, text: str) -> None:
        """Whatever is sent in place of a token is refused."""
        with pytest.raises(TokenRefused):
            tokens().check(text, ALICE, NONCE, RUN)


class TestNonce:
    """The value of our own cookie."""

    def test_nonces_are_long_and_differ(self) -> None:
        """Two nonces differ and have the form that is accepted back."""
        assert (True, True) == (new_nonce() != new_nonce(), is_nonce(new_nonce()))

    @pytest.mark.parametrize("text", ["", "x", "a" * 44, "a" * 42 + "!", f"{'a' * 43}\n"])
    def test_other_values_are_no_nonces(self, text: str) -> None:
        """A cookie of another form is not one of ours."""
        assert False is is_nonce(text)
