"""What the manifests start, started here: it answers where the probes and Prometheus ask."""

from __future__ import annotations

import functools
from pathlib import Path

import bcrypt
import httpx
import pytest

from tests.deploy.kubectl import KUBERNETES, rendered
from tests.deploy.manifests import container, named
from tests.deploy.parts import Part, running_part
from tests.installation import Exposition, Simulator
from tests.processes import eventually, poll


def answered(url: str) -> int | None:
    """Return the status of the answer once it is no longer that of somebody who is not ready yet."""
    found = status(url)
    return None if found == 503 else found


def status(url: str, user: tuple[str, str] | None = None) -> int:
    """Return the status of the answer to a GET request, asked by the address of a pod."""
    return httpx.get(url, headers={"Host": "10.42.0.7:9878"}, auth=user, timeout=30, trust_env=False).status_code


@pytest.mark.parametrize("part", ["exporter", "sidecar"])
def test_the_probes_are_answered(part: str, request: pytest.FixtureRequest) -> None:
    """Both probes of both pods end in 200, asked as a node asks: by the pod's address."""
    running: Part = request.getfixturevalue(f"{part}_pod")
    only = container(named(rendered(KUBERNETES / "base"), "Deployment", f"dumbella-{part}"))
    for probe in ("livenessProbe", "readinessProbe"):
        url = running.url + only[probe]["httpGet"]["path"]
        assert 200 == poll(functools.partial(answered, url))


def test_the_exporter_reads_and_remembers(exporter_pod: Part) -> None:
    """The base's configuration reads its target, and the state is on the volume that lasts."""

    def read() -> None:
        answer = httpx.get(f"{exporter_pod.url}/metrics", timeout=30, trust_env=False)
        page = Exposition(answer.text, answer.headers["content-type"])
        assert {("production",): 1.0} == page.values("dumbella_up", "target")
        assert (exporter_pod.volumes["/var/lib/dumbella-exporter"] / "state.json").is_file()

    eventually(read)


def test_the_sidecar_writes_its_audit(sidecar_pod: Part) -> None:
    """The base's configuration opens the audit file on the volume that lasts, and people without Grafana get 401."""
    assert '"stage":"start"' in (sidecar_pod.volumes["/var/lib/dumbella-exporter"] / "audit.jsonl").read_text()
    page = httpx.get(sidecar_pod.url, headers={"Host": "grafana.example.com:9878"}, timeout=30, trust_env=False)
    assert 401 == page.status_code


def test_the_example_wants_a_login(simulator: Simulator, tmp_path: Path) -> None:
    """The example's sidecar starts with users of its own; Prometheus has to be one of them, a prober does not."""
    manifests = rendered(KUBERNETES / "example")
    users = {
        user: bcrypt.hashpw(f"{user}-secret".encode(), bcrypt.gensalt(4)).decode() for user in ("alice", "prometheus")
    }
    secrets = {
        "cockpit-kill-key": simulator.token,
        "page-token-key": "0123456789abcdef" * 2,
        "web.yml": f"basic_auth_users: {users}",
    }
    deployment = named(manifests, "Deployment", "dumbella-sidecar")
    with running_part(manifests, deployment, tmp_path, secrets, simulator.url) as part:
        assert 200 == status(f"{part.url}/-/ready")
        assert 401 == status(f"{part.url}/metrics")
        assert 200 == status(f"{part.url}/metrics", ("prometheus", "prometheus-secret"))
        with httpx.Client(headers={"Host": "dumbella.example.com"}, timeout=30, trust_env=False) as browser:
            assert 401 == browser.get(part.url).status_code
            assert 200 == browser.get(part.url, auth=("alice", "alice-secret")).status_code
