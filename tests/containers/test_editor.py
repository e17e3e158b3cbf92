"""The one-shot service that makes the demo's editor, run beside a stand-in for Grafana without any container."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import loopback
from tests.processes import DEADLINE, running

ROOT = Path(__file__).parent.parent.parent
SCRIPT = ROOT / "deploy/compose/editor.py"


@pytest.fixture
def grafana(tmp_path: Path) -> Iterator[str]:
    """The address of a new stand-in, whose administrator's password is ``first``."""
    command = [sys.executable, "-m", "tests.containers.grafana", 0]
    environment = {"PYTHONPATH": str(ROOT), "GF_SECURITY_ADMIN_PASSWORD": "first"}
    with running(command, tmp_path, name="grafana", environment=environment) as process:
        port = process.wait_for(r"running on http://\S+:(\d+)")[1]
        url = f"http://127.0.0.1:{port}"
        assert loopback.get(f"{url}/api/health").is_success
        yield url


def provide(url: str, *, admin: str = "first", editor: str) -> subprocess.CompletedProcess[str]:
    """Run the script as the service does."""
    environment = {"GRAFANA_URL": url, "GRAFANA_ADMIN_PASSWORD": admin, "GRAFANA_EDITOR_PASSWORD": editor}
    return subprocess.run(  # noqa: S603 - the script is the project's own
        [sys.executable, SCRIPT], env=environment, capture_output=True, text=True, timeout=DEADLINE, check=False
    )


def roles(url: str, login: str, password: str) -> list[tuple[int, str]]:
    """Return what Grafana says to a user of its organisations, nothing if it does not know them."""
    answer = loopback.get(f"{url}/api/user/orgs", auth=(login, password))
    return [(org["orgId"], org["role"]) for org in answer.json()] if answer.is_success else []


def test_an_editor_is_made_once(grafana: str) -> None:
    """The first run makes an editor, the second one finds it and leaves its password and its sessions alone."""
    first = provide(grafana, editor="open sesame")
    assert (0, "made the user editor\n", "") == (first.returncode, first.stdout, first.stderr)
    assert [(1, "Editor")] == roles(grafana, "editor", "open sesame")
    second = provide(grafana, editor="open sesame")
    assert (0, "found the user editor\n", "") == (second.returncode, second.stdout, second.stderr)
    assert [(1, "Editor")] == roles(grafana, "editor", "open sesame")


def test_another_password(grafana: str) -> None:
    """A password that was changed in the environment is the editor's from the next run on."""
    provide(grafana, editor="open sesame")
    again = provide(grafana, editor="close sesame")
    assert (0, "found, with another password, the user editor\n") == (again.returncode, again.stdout)
    assert [(1, "Editor")] == roles(grafana, "editor", "close sesame")
    assert [] == roles(grafana, "editor", "open sesame")


def test_a_role_that_was_taken_away(grafana: str) -> None:
    """Whatever role the account was given in between, the next run makes it an editor again."""
    provide(grafana, editor="open sesame")
    path, admin = "/api/orgs/1/users/2", ("admin", "first")
    loopback.request("PATCH", f"{grafana}{path}", json={"role": "Viewer"}, auth=admin).raise_for_status()
    assert [(1, "Viewer")] == roles(grafana, "editor", "open sesame")
    assert 0 == provide(grafana, editor="open sesame").returncode
    assert [(1, "Editor")] == roles(grafana, "editor", "open sesame")


def test_a_password_of_admin_that_came_too_late(grafana: str) -> None:
    """Grafana keeps its first password: the failure says so, and what to do."""
    failed = provide(grafana, admin="second", editor="open sesame")
    assert (1, "") == (failed.returncode, failed.stdout)
    assert failed.stderr == (
        f"no editor at {grafana}: Refused: Grafana does not know admin by GRAFANA_ADMIN_PASSWORD, which counts at its"
        " first start only: set the variable to the password of that time, or begin anew with"
        " `docker compose down --volumes`\n"
    )


def test_no_grafana(tmp_path: Path) -> None:
    """Where nobody answers, one line says so."""
    failed = provide(f"http+unix://{tmp_path}", editor="open sesame")
    assert (1, 1) == (failed.returncode, len(failed.stderr.splitlines()))
    assert failed.stderr.startswith(f"no editor at http+unix://{tmp_path}: UnsupportedProtocol: ")
