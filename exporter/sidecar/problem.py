"""Errors of the API as RFC 9457 has them: ``application/problem+json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.responses import Response


class Problem(Exception):
    """An answer of the API that is no success.

    Args:
        status: the HTTP status.
        detail: what was wrong, and what to do.
        outcome: what a request to kill counts as, where it is one.
        kill: the address of the kill that has ended the run, where it is known.
        retry_after: seconds after which to try again.
        headers: further headers of the answer.
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        outcome: str = "",
        kill: str = "",
        retry_after: float = 0.0,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.outcome = outcome
        self.kill = kill
        self.headers = list(headers)
        if retry_after:
            self.headers.append(("Retry-After", str(int(retry_after) + 1)))

    def response(self) -> Response:
        """Return it as a response."""
        content = {"type": "about:blank", "title": self.status.phrase, "status": self.status, "detail": self.detail}
        if self.outcome:
            content["outcome"] = self.outcome
        if self.kill:
            content["kill"] = self.kill
        response = json_response(content, self.status, media_type="application/problem+json")
        for name, value in self.headers:
            response.headers.append(name, value)
        return response


def json_response(
    content: Mapping[str, Any],
    status: HTTPStatus = HTTPStatus.OK,
    *,
    media_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return JSON in ASCII, whatever names it holds: lone surrogates have no other encoding."""
    body = json.dumps(content, ensure_ascii=True).encode()
    return Response(body, status, headers=headers, media_type=media_type)
