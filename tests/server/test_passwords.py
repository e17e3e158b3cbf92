"""Basic authentication: who gets in, and what a check costs."""

from __future__ import annotations

import asyncio
import base64
import threading

import bcrypt
import pytest
from pydantic import SecretStr

from exporter.server.passwords import PasswordCheck
from tests.processes import DEADLINE


def hashed(password: bytes, cost: int = 4) -> SecretStr:
    """Return the bcrypt hash of a password, at the lowest cost unless another is given."""
    return SecretStr(bcrypt.hashpw(password, bcrypt.gensalt(cost)).decode())


def basic(user: str, password: str | bytes, scheme: str = "Basic") -> str:
    """Return an ``Authorization`` header's value."""
    secret = password if isinstance(password, bytes) else password.encode()
    return f"{scheme} {base64.b64encode(user.encode() + b':' + secret).decode()}"


USERS = {"alice": hashed(b"wonder:land"), "Zoë": hashed("grüße".encode()), "empty": hashed(b"")}


class Counting:
    """A comparison that counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def __call__(self, password: bytes, hashed_password: bytes) -> bool:
        """Compare as bcrypt does."""
        self.asked.append(hashed_password)
        return bcrypt.checkpw(password, hashed_password)


def user(*authorization: str, check: PasswordCheck | None = None) -> str | None:
    """Return who is let in with these ``Authorization`` headers."""
    return asyncio.run((check or PasswordCheck()).user(USERS, authorization))


@pytest.mark.parametrize(
    ("authorization", "name"),
    [
        pytest.param(basic("alice", "wonder:land"), "alice", id="password-with-a-colon"),
        pytest.param(basic("Zoë", "grüße"), "Zoë", id="beyond-ascii"),
        pytest.param(basic("empty", ""), "empty", id="empty-password"),
        pytest.param(basic("alice", "wonder:land", scheme="bAsIc"), "alice", id="scheme-in-any-case"),
    ],
)
def test_users(authorization: str, name: str) -> None:
    """Whoever knows a user's password is that user."""
    assert name == user(authorization)


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param((), id="none"),
        pytest.param((basic("alice", "wonder:land"),) * 2, id="twice"),
        pytest.param((basic("alice", "wonderland"),), id="wrong-password"),
        pytest.param((basic("Alice", "wonder:land"),), id="other-case"),
        pytest.param((basic("bob", "wonder:land"),), id="unknown-user"),
        pytest.param((basic("", ""),), id="nobody"),
        pytest.param((basic("alice", ""),), id="no-password"),
        pytest.param((basic("alice", b"wonder:land\0"),), id="nul"),
        pytest.param((basic("alice", b"a" * 73),), id="more-than-72-bytes"),
        pytest.param((basic("alice", b"a" * 60_000),), id="very-long"),
        pytest.param((basic("alice", b"\xff\xfe"),), id="not-utf-8"),
        pytest.param((basic("alice", "wonder:land", scheme="Bearer"),), id="other-scheme"),
        pytest.param((basic("alice", "wonder:land").replace(" ", ""),), id="no-space"),
        pytest.param(("Basic",), id="scheme-only"),
        pytest.param(("Basic ===",), id="not-base64"),
        pytest.param(("Basic YWxpY2U6d29u\tZGVyOmxhbmQ=",), id="tab-in-base64"),
        pytest.param(("Basic " + base64.b64encode(b"alice").decode(),), id="no-colon"),
        pytest.param(("Basic " + base64.b64encode(b"\xff:\xff").decode(),), id="name-not-utf-8"),
    ],
)
def test_strangers(authorization: tuple[str, ...]) -> None:
    """Everyone else, and whatever is malformed, is nobody."""
    assert user(*authorization) is None


def test_without_users() -> None:
    """Without users nobody gets in."""
    assert asyncio.run(PasswordCheck().user({}, [basic("alice", "")])) is None


def test_longest_password() -> None:
    """A password of 72 bytes, the most that bcrypt looks at, is one like any other."""
    users = {"alice": hashed(b"a" * 72)}
    assert "alice" == asyncio.run(PasswordCheck().user(users, [basic("alice", b"a" * 72)]))


def test_success_is_remembered() -> None:
    """A scraper that logs in again and again is checked once; a wrong password is checked every time."""
    matches = Counting()
    check = PasswordCheck(matches)
    for _ in range(5):
        assert "alice" == user(basic("alice", "wonder:land"), check=check)
    assert 1 == len(matches.asked)
    for _ in range(5):
        assert user(basic("alice", "wonder:lanD"), check=check) is None
    assert 6 == len(matches.asked)


def test_memory_ends_with_the_hash() -> None:
    """A user who was removed, or has got another password, is not let in from memory."""
    check = PasswordCheck()
    authorization = [basic("alice", "wonder:land")]
    assert "alice" == asyncio.run(check.user(USERS, authorization))
    others = {name: value for name, value in USERS.items() if name != "alice"}
    assert asyncio.run(check.user(others, authorization)) is None
    assert asyncio.run(check.user({**USERS, "alice": hashed(b"other")}, authorization)) is None


def test_memory_is_bounded() -> None:
    """Of many users that log in, the latest hundred are remembered."""
    matches = Counting()
    check = PasswordCheck(matches)
    users = dict.fromkeys((f"user-{number}" for number in range(101)), hashed(b"secret"))

    async def log_in(name: str) -> None:
        assert name == await check.user(users, [basic(name, "secret")])

    async def everyone() -> None:
        for name in users:
            await log_in(name)
        await log_in("user-100")
        assert 101 == len(matches.asked)
        await log_in("user-0")
        assert 102 == len(matches.asked)

    asyncio.run(everyone())


def test_no_password_is_kept() -> None:
    """What is remembered holds no password, in no form that is the same in another process."""

    def remembered() -> str:
        check = PasswordCheck()
        assert "alice" == user(basic("alice", "wonder:land"), check=check)
        return repr(vars(check))

    first, second = remembered(), remembered()
    assert "wonder" not in first
    assert first.partition("OrderedDict")[2] != second.partition("OrderedDict")[2]


def test_unknown_users_cost_the_same() -> None:
    """For a name that nobody has a real user's hash is compared, always the same one and not always the first."""
    matches = Counting()
    check = PasswordCheck(matches)
    for number in range(32):
        for _ in range(2):
            assert user(basic(f"nobody-{number}", "wonder:land"), check=check) is None
    assert matches.asked[::2] == matches.asked[1::2]
    assert {value.get_secret_value().encode() for value in USERS.values()} == set(matches.asked)


def test_password_of_the_stand_in_opens_nothing() -> None:
    """An unknown name with a real user's password is nobody, before and after that user has logged in."""
    check = PasswordCheck()
    users = {"alice": USERS["alice"]}

    async def ask(name: str) -> str | None:
        return await check.user(users, [basic(name, "wonder:land")])

    assert [None, "alice", None] == [asyncio.run(ask(name)) for name in ("bob", "alice", "bob")]


def test_two_checks_at_a_time() -> None:
    """Of ten logins at once two are checked at a time, none of them in the thread of the event loop."""
    pair = threading.Barrier(2, timeout=DEADLINE)
    lock = threading.Lock()
    active, most, threads = 0, 0, set()

    def matches(_password: bytes, _hashed: bytes) -> bool:
        nonlocal active, most
        with lock:
            active += 1
            most = max(most, active)
            threads.add(threading.get_ident())
        pair.wait()
        with lock:
            active -= 1
        return False

    async def everyone() -> list[str | None]:
        check = PasswordCheck(matches)
        return await asyncio.gather(*(check.user(USERS, [basic(f"user-{number}", "a")]) for number in range(10)))

    assert [None] * 10 == asyncio.run(everyone())
    assert (2, 2) == (most, len(threads))
    assert threading.get_ident() not in threads
