"""Paged lists: read to the end, within one budget, and never believed when they do not add up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from exporter.cockpit import CockpitError, SchemaMismatch, TooLarge
from exporter.config import Limits
from tests.cockpit.asking import ask, jobs

ROWS = [{"id": number, "name": f"load_{number}", "status": "ENABLED"} for number in range(45)]


class Server:
    """Serves ``ROWS`` in pages of 20 unless asked for more.

    Attributes:
        largest: rows that a page has at most, whatever is asked for.
        asked: the query of every request.
        alter: changes a page before it is sent.
    """

    def __init__(self, largest: int = 2000, alter: Callable[[dict[str, Any]], Any] = lambda page: page) -> None:
        self.largest = largest
        self.alter = alter
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        self.asked.append(request.url.query.decode())
        size = min(int(request.url.params.get("size", "20")), self.largest)
        number = int(request.url.params.get("page", "0"))
        pages = -(-len(ROWS) // size)
        page = {
            "content": ROWS[number * size : (number + 1) * size],
            "number": number,
            "size": size,
            "totalPages": pages,
            "totalElements": len(ROWS),
            "last": number + 1 >= pages,
        }
        return httpx.Response(200, json=self.alter(page))


def ids(listing: Any) -> list[int]:
    """Return the ids in a listing."""
    return [int(job.id) for job in listing.rows]


def test_list_that_turns_out_paged_is_asked_for_in_large_pages() -> None:
    """The first answer shows that there are pages; the list is then read from its start in large ones."""
    server = Server()

    listing = ask(server, jobs)

    assert ids(listing) == list(range(45))
    assert listing.listed == 45
    assert server.asked == ["", "page=0&size=1000"]


def test_server_that_caps_the_page_size() -> None:
    """Pages smaller than asked for are read one after the other."""
    server = Server(largest=20)

    assert ids(ask(server, jobs)) == list(range(45))
    assert server.asked == ["", "page=0&size=1000", "page=1&size=1000", "page=2&size=1000"]


def test_paged_list_is_known_the_next_time() -> None:
    """A list known to be paged is asked for in pages at once, and unchanged jobs are the same objects."""
    server = Server(largest=20)

    async def twice(client: Any) -> tuple[Any, Any]:
        return await jobs(client), await jobs(client)

    first, second = ask(server, twice)

    assert first is second
    assert server.asked[4:] == ["page=0&size=1000", "page=1&size=1000", "page=2&size=1000"]


def test_single_page() -> None:
    """A page that is the last one is the whole list."""
    server = Server(alter=lambda page: {**page, "last": True})

    assert len(ids(ask(server, jobs))) == 20
    assert server.asked == [""]


def test_paging_parameters_of_a_profile() -> None:
    """Names and size come from the profile; a query of the path stays."""
    asked = []

    def serve(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.query.decode())
        number = int(request.url.params.get("p", "0"))
        return httpx.Response(200, json={"content": [ROWS[number]], "number": number, "totalPages": 2})

    profiles = {
        "ours": {
            "paths": {"jobs": "/{application}?full=true"},
            "paging": {"page": "p", "size": "n", "page_size": 7},
        }
    }
    listing = ask(serve, jobs, profile="ours", profiles=profiles)

    assert ids(listing) == [0, 1]
    assert asked == ["full=true", "full=true&p=0&n=7", "full=true&p=1&n=7"]


def test_pages_without_numbers() -> None:
    """Pages that only say whether they are the last one are read to the end."""

    def serve(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params.get("page", "0"))
        return httpx.Response(200, json={"content": [ROWS[number]], "last": number == 3})

    assert ids(ask(serve, jobs)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "alter",
    [
        pytest.param(lambda page: {**page, "number": 0}, id="the same number for ever"),
        pytest.param(lambda _: {"content": ROWS[:1], "last": False}, id="the same body for ever"),
        pytest.param(lambda page: page if page["number"] == 0 else ROWS, id="an array after a page"),
    ],
)
def test_server_that_ignores_the_page(alter: Callable[[dict[str, Any]], Any]) -> None:
    """A server that answers another page than the one asked for is not believed."""
    observed: list[tuple[str, str | None]] = []
    with pytest.raises(SchemaMismatch) as caught:
        ask(Server(20, alter), jobs, observed=observed)

    assert caught.value.detail == (
        "page 1 was asked for and another answer came: does the API page by 'page' and 'size'?"
    )
    assert observed == [("jobs", None), ("jobs", None), ("jobs", "schema")]


def test_list_that_never_ends() -> None:
    """Pages without end stop at the limit of bytes."""

    def serve(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params.get("page", "0"))
        return httpx.Response(200, json={"content": [{"id": number, "name": "x" * 1000}], "last": False})

    with pytest.raises(TooLarge):
        ask(serve, jobs, limits=Limits(response_bytes=50_000))


def test_failing_page_fails_the_list() -> None:
    """One page that fails leaves no half a list."""

    def serve(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("page") == "1":
            return httpx.Response(503)
        return Server(20)(request)

    with pytest.raises(CockpitError, match=r"^answered 503 Service Unavailable$"):
        ask(serve, jobs)


def test_list_that_changes_while_it_is_read() -> None:
    """A list that changes between its pages is read again from the start."""
    totals = iter([45, 45, 44])

    server = Server(20, alter=lambda page: {**page, "totalElements": next(totals, 45)})

    assert ids(ask(server, jobs)) == list(range(45))
    assert server.asked == ["", "page=0&size=1000", "page=1&size=1000", *(f"page={n}&size=1000" for n in range(3))]


def test_list_that_keeps_changing() -> None:
    """A list that changes with every page proves nothing and fails."""
    totals = iter(range(1000))

    with pytest.raises(SchemaMismatch, match=r"^the list changed while its pages were read, 3 times in a row$"):
        ask(Server(20, alter=lambda page: {**page, "totalElements": next(totals)}), jobs)


def test_list_that_is_no_longer_paged() -> None:
    """A list that was paged and comes whole again is read whole."""
    server = Server(20)

    async def twice(client: Any) -> Any:
        await jobs(client)
        server.alter = lambda _: ROWS
        return await jobs(client)

    assert ids(ask(server, twice)) == list(range(45))
