"""Read a whole list from one endpoint, page by page where it comes in pages."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import httpx

from exporter.cockpit.bodies import Mask, decode
from exporter.cockpit.envelopes import Answer, unwrap
from exporter.cockpit.errors import NotJSON, SchemaMismatch
from exporter.cockpit.fetch import Body
from exporter.config.profiles import ListEndpoint, Profile

#: Bodies from this size on are understood in a worker thread; for smaller ones the way there costs more than it saves.
_LARGE_BODY = 64 * 1024
#: Pages after which a list is not believed to end.
_MOST_PAGES = 10_000
#: How often to start over when a list changes while it is paged through.
_PAGING_ATTEMPTS = 3

Made = TypeVar("Made")
Understood = TypeVar("Understood")


class Ask(Protocol):
    """Get a body and make something of it."""

    def __call__(
        self, url: httpx.URL, deadline: float, limit: int, understand: Callable[[Body], Understood], /
    ) -> Awaitable[Understood]:
        """Return what ``understand`` makes of the body, which has at most ``limit`` bytes.

        Raises:
            CockpitError: there is no usable answer before the deadline.
        """
        ...


async def understood(understand: Callable[[Body], Understood], body: Body) -> Understood:
    """Call ``understand`` with a body, in a worker thread if the body is large.

    Raises:
        CockpitError: whatever ``understand`` raises, and ``NotJSON`` for JSON that is nested too deeply to work with.
    """
    try:
        if len(body.content) < _LARGE_BODY:
            return understand(body)
        return await asyncio.to_thread(understand, body)
    except RecursionError as error:
        raise NotJSON("the body is JSON that is nested too deeply") from error


class PagedList(Generic[Made]):
    """One list endpoint, and what is made of its rows.

    A list is asked for without paging parameters until it turns out to come in pages.

    Args:
        endpoint: which list it is.
        url: its address.
        profile: its envelope and paging parameters.
        ask: gets one body.
        mask: takes secrets out of a text.
        limit: bytes that all pages together may have.
        make: makes the result of all rows; called in a worker thread for large lists.
    """

    def __init__(
        self,
        *,
        endpoint: ListEndpoint,
        url: httpx.URL,
        profile: Profile,
        ask: Ask,
        mask: Mask,
        limit: int,
        make: Callable[[Sequence[Any]], Made],
    ) -> None:
        self._endpoint: ListEndpoint = endpoint
        self.url = url
        self._items: str | None = getattr(profile.items, endpoint)
        self._paging = profile.paging
        self._ask = ask
        self._mask = mask
        self._limit = limit
        self._make = make
        self._is_paged = False
        self._previous: tuple[bytes, Made] | None = None

    async def read(self, deadline: float) -> Made:
        """Return what is made of all rows; the same object as before if the body has not changed by a byte.

        Raises:
            CockpitError: any page failed, or the pages do not make a whole.
        """
        if not self._is_paged:
            made = await self._ask(self.url, deadline, self._limit, self._whole)
            if made is not None:
                return made
            self._is_paged = True
        for _ in range(_PAGING_ATTEMPTS):
            rows = await self._all_pages(deadline)
            if rows is not None:
                return await asyncio.to_thread(self._make, rows)
        raise SchemaMismatch(f"the list changed while its pages were read, {_PAGING_ATTEMPTS} times in a row")

    def answer(self, content: bytes) -> Answer:
        """Return the rows in one body.

        Raises:
            NotJSON: the body is no JSON.
            SchemaMismatch: the JSON is no list.
        """
        return unwrap(decode(content, self._mask), self._endpoint, self._items)

    def _whole(self, body: Body) -> Made | None:
        """Make the result of an answer that is the whole list; return ``None`` for one that other pages follow."""
        if self._previous is not None and self._previous[0] == body.content:
            return self._previous[1]
        answer = self.answer(body.content)
        if answer.page is not None and not answer.page.last:
            return None
        made = self._make(answer.rows)
        self._previous = (body.content, made)
        return made

    async def _all_pages(self, deadline: float) -> list[Any] | None:
        """Return the rows of all pages, or ``None`` if rows came or went meanwhile, so that some may be missing."""
        rows: list[Any] = []
        content, left, total = b"", self._limit, None
        for number in range(_MOST_PAGES):
            url = self.url.copy_merge_params({self._paging.page: number, self._paging.size: self._paging.page_size})
            content, answer = await self._ask(url, deadline, left, functools.partial(self._page, number, content))
            left -= len(content)
            rows += answer.rows
            if answer.page is None or (number == 0 and answer.page.last):
                return rows
            if number == 0:
                total = answer.page.total_rows
            elif answer.page.total_rows != total:
                return None
            if answer.page.last:
                return rows
        raise SchemaMismatch(f"the list has more than {_MOST_PAGES} pages")

    def _page(self, number: int, previous: bytes, body: Body) -> tuple[bytes, Answer]:
        answer = self.answer(body.content)
        if answer.page is None:
            fits = number == 0
        elif answer.page.number is None:
            fits = body.content != previous
        else:
            fits = answer.page.number == number
        if not fits:
            names = f"{self._paging.page!r} and {self._paging.size!r}"
            raise SchemaMismatch(f"page {number} was asked for and another answer came: does the API page by {names}?")
        return body.content, answer
