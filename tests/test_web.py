"""The exporter's endpoints, asked as a client asks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx
import pytest
from starlette.types import Message

from exporter.config import Auth, Config, Target
from exporter.exposition import Body
from exporter.lifecycle import Exporter
from exporter.telemetry import Telemetry
from exporter.web import PIECE, create_app, send_body

HOSTILE = "<script>alert(1)</script>"


def ask(
    path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, read: bool = True, status: int = 200
) -> httpx.Response:
    """Return the answer of an exporter with one target.

    Args:
        path: what to ask for.
        method: how.
        headers: sent as they are.
        read: whether the target was read before.
        status: what the target answers; its body is hostile to pages that do not escape.
    """
    target = Target(
        name="production",
        url="https://apps.example.com/cockpit",
        applications=("K7SALES",),
        auth=Auth(headers={"X-Tenant": "very-secret"}),
    )
    config = Config(targets=(target,))

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, json=[] if status == 200 else {"message": HOSTILE})

    async def main() -> httpx.Response:
        exporter = Exporter(config, Telemetry(), transport=httpx.MockTransport(answer))
        if read:
            await exporter.current.readers[0].read()
        app = create_app(exporter, clock=lambda: 0.0)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://exporter") as asking:
            asking.headers.clear()
            return await asking.request(method, path, headers=headers)

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("accept", "content_type", "end"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8", "\n"),
        (
            "application/openmetrics-text;version=1.0.0",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            "\n# EOF\n",
        ),
    ],
)
def test_metrics_in_both_formats(accept: str, content_type: str, end: str) -> None:
    """/metrics answers in the format that the client asks for."""
    answer = ask("/metrics", headers={"accept": accept} if accept else {})
    assert (200, content_type) == (answer.status_code, answer.headers["content-type"])
    assert answer.text.endswith(end)
    assert '\ndumbella_up{target="production"} 1\n' in answer.text
    assert str(len(answer.content)) == answer.headers["content-length"]


def test_metrics_are_compressed_for_those_who_take_it() -> None:
    """A client that takes gzip gets gzip, and caches are told that the answer depends on it."""
    answer = ask("/metrics", headers={"accept-encoding": "gzip"})
    assert ("gzip", "Accept, Accept-Encoding") == (answer.headers["content-encoding"], answer.headers["vary"])
    assert "dumbella_up" in answer.text
    assert "content-encoding" not in ask("/metrics").headers


def test_head_has_headers_only() -> None:
    """HEAD tells the length and sends nothing."""
    answer = ask("/metrics", method="HEAD")
    assert (200, b"") == (answer.status_code, answer.content)
    assert int(answer.headers["content-length"]) > 0


def test_up_is_absent_until_the_first_read() -> None:
    """Before the first read there is nothing to say about the target, and the exporter is not ready."""
    assert "dumbella_up" not in ask("/metrics", read=False).text
    assert "dumbella_exporter_build_info" in ask("/metrics", read=False).text
    assert 503 == ask("/-/ready", read=False).status_code


@pytest.mark.parametrize("status", [200, 500])
def test_ready_after_the_first_attempt_whatever_came_of_it(status: int) -> None:
    """Readiness means that the first read was attempted; health means that the process answers."""
    assert 200 == ask("/-/ready", status=status).status_code
    assert 200 == ask("/-/healthy", read=False).status_code


def test_landing_page_tells_what_failed_and_what_to_do() -> None:
    """The page names target, application, reason and remedy, and lets no foreign text act."""
    page = ask("/", status=403).text
    for expected in ("production", "K7SALES", "auth", "answered 403 Forbidden", "check that the API key is right"):
        assert expected in page
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "default-src 'none'" in ask("/").headers["content-security-policy"]


def test_landing_page_of_a_good_read() -> None:
    """The page says when the target was read and what was found."""
    page = ask("/").text
    assert "0 jobs, 0 running executions" in page
    assert '<a href="metrics">' in page


def test_configuration_is_shown_without_secrets() -> None:
    """/config shows what is in force, with every secret masked."""
    answer = ask("/config")
    assert "https://apps.example.com/cockpit" in answer.text
    assert "X-Tenant: <secret>" in answer.text
    for path in ("/", "/config", "/metrics"):
        assert "very-secret" not in ask(path).text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("GET", "/metrics/", 404), ("POST", "/metrics", 405), ("DELETE", "/", 405)],
)
def test_anything_else_is_refused(method: str, path: str, status: int) -> None:
    """There is nothing else to ask, and nothing redirects."""
    assert status == ask(path, method=method).status_code


@pytest.mark.parametrize(
    "sizes",
    [(), (0,), (1, 2, 3), (PIECE,), (PIECE + 1,), (5, PIECE - 5, 1), (5, 3 * PIECE + 7, 5), (PIECE, PIECE, PIECE)],
)
def test_a_body_is_sent_whole_in_moderate_pieces(sizes: tuple[int, ...]) -> None:
    """Small parts are joined and large ones divided; together they are the body, and the last one ends it."""
    parts = [bytes([65 + i]) * size for i, size in enumerate(sizes)]
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(send_body(Body(parts, sum(sizes)), send))
    assert b"".join(parts) == b"".join(message["body"] for message in sent)
    assert [True] * (len(sent) - 1) + [False] == [message.get("more_body", False) for message in sent]
    assert max(len(message["body"]) for message in sent) <= PIECE
