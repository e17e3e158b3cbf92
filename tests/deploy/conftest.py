"""A simulated Dumbella, and exporter and sidecar as the manifests start them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploy.kubectl import KUBERNETES, rendered
from tests.deploy.manifests import named
from tests.deploy.parts import Part, running_part
from tests.installation import Simulator, simulating


@pytest.fixture(scope="package")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """A simulated Dumbella."""
    with simulating(tmp_path_factory.mktemp("simulator")) as running:
        yield running


@pytest.fixture(scope="package")
def exporter_pod(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Part]:
    """The exporter, as the base starts it."""
    manifests = rendered(KUBERNETES / "base")
    deployment = named(manifests, "Deployment", "dumbella-exporter")
    secrets = {"cockpit-api-key": simulator.token}
    with running_part(manifests, deployment, tmp_path_factory.mktemp("exporter"), secrets, simulator.url) as part:
        yield part


@pytest.fixture(scope="package")
def sidecar_pod(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Part]:
    """The sidecar, as the base starts it."""
    manifests = rendered(KUBERNETES / "base")
    deployment = named(manifests, "Deployment", "dumbella-sidecar")
    secrets = {"cockpit-kill-key": simulator.token, "page-token-key": "0123456789abcdef" * 2}
    with running_part(manifests, deployment, tmp_path_factory.mktemp("sidecar"), secrets, simulator.url) as part:
        yield part
