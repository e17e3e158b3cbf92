"""Make the demo's editor in Grafana, or find it there and let it be what it has to be; run at every start of the stack.

It runs in the project's image, once Grafana is healthy, and takes from its environment:

- ``GRAFANA_URL``: where Grafana answers,
- ``GRAFANA_ADMIN_PASSWORD``: the password of the user ``admin``,
- ``GRAFANA_EDITOR_PASSWORD``: the one that the user ``editor`` is to have.
"""

from __future__ import annotations

import os
import sys
from http import HTTPStatus
from typing import Any

import httpx

LOGIN = "editor"
#: Grafana's first organisation, in which the dashboards are.
ORGANISATION = 1


class Refused(Exception):
    """Grafana did not do what it was asked to; the message says what, and what to do about it."""


def provide(grafana: httpx.Client, password: str) -> str:
    """Let there be an editor with this password.

    Args:
        grafana: asks as a server administrator.
        password: the editor's.

    Returns:
        What was done, as a sentence for the log.

    Raises:
        Refused: Grafana said no.
    """
    found = _ask(grafana, "GET", "/api/users/lookup", params={"loginOrEmail": LOGIN}, absent=True)
    if found is None:
        account = {"name": "Demo editor", "login": LOGIN, "password": password, "OrgId": ORGANISATION}
        found = _ask(grafana, "POST", "/api/admin/users", json=account)
        done = "made"
    # A new password would end the sessions of whoever is signed in.
    elif grafana.get("/api/user", auth=(LOGIN, password)).is_success:
        done = "found"
    else:
        _ask(grafana, "PUT", f"/api/admin/users/{found['id']}/password", json={"password": password})
        done = "found, with another password,"
    _ask(grafana, "PATCH", f"/api/orgs/{ORGANISATION}/users/{found['id']}", json={"role": "Editor"})
    return f"{done} the user {LOGIN}"


def _ask(grafana: httpx.Client, method: str, path: str, *, absent: bool = False, **options: Any) -> Any:
    """Return the answer to a question, ``None`` for a 404 where something may be absent."""
    answer = grafana.request(method, path, **options)
    if absent and answer.status_code == HTTPStatus.NOT_FOUND:
        return None
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        raise Refused(
            "Grafana does not know admin by GRAFANA_ADMIN_PASSWORD, which counts at its first start only: set the"
            " variable to the password of that time, or begin anew with `docker compose down --volumes`"
        )
    if not answer.is_success:
        raise Refused(f"{method} {path} was answered with {answer.status_code}: {answer.text[:200]}")
    return answer.json()


def main() -> None:
    """Do it, and say what was done; exit with 1 and the reason if that failed."""
    url, admin, editor = (
        os.environ[name] for name in ("GRAFANA_URL", "GRAFANA_ADMIN_PASSWORD", "GRAFANA_EDITOR_PASSWORD")
    )
    try:
        with httpx.Client(base_url=url, auth=("admin", admin), trust_env=False, timeout=30) as grafana:
            sys.stdout.write(f"{provide(grafana, editor)}\n")
    except (Refused, httpx.HTTPError, ValueError) as error:
        sys.exit(f"no editor at {url}: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
