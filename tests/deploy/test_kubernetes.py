"""The manifests for Kubernetes: rendered, valid, and in agreement with themselves and with the rest of the project."""

from __future__ import annotations

import copy
import json
import os
import re
from functools import cache
from pathlib import Path

import pytest
import yaml

import exporter
from tests.deploy import conventions, schemas
from tests.deploy.kubectl import KUBERNETES, OVERLAYS, ROOT, rendered
from tests.deploy.manifests import Manifest, configuration, container, flag, named, of_kind, pod
from tests.deploy.mistakes import MISTAKES, Mistake

every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)
BOTH = ("base", "operator", "annotations", "example")


@cache
def _once(overlay: str) -> list[Manifest]:
    return rendered(KUBERNETES / overlay)


def objects(overlay: str) -> list[Manifest]:
    """Return the objects of one overlay, rendered once, for the caller to change."""
    return copy.deepcopy(_once(overlay))


@every_overlay
def test_the_manifests_have_no_problem(overlay: str) -> None:
    """Every overlay renders, keeps to the schemas of old and new Kubernetes, and refers only to what it has."""
    manifests = objects(overlay)
    assert [] == [*schemas.problems(manifests), *conventions.problems(manifests)]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_is_found(mistake: Mistake) -> None:
    """Manifests with one mistake are refused, in words that name it."""
    manifests = objects("example")
    mistake.make(manifests)
    changed = [each for each in manifests if each not in objects("example")]
    found = [*schemas.problems(changed), *conventions.problems(manifests)]
    assert any(mistake.found in problem for problem in found), found


def test_every_overlay_is_tried() -> None:
    """No kustomization for clusters is forgotten by these tests."""
    assert sorted(OVERLAYS) == sorted(
        str(file.parent.relative_to(KUBERNETES)) for file in KUBERNETES.rglob("kustomization.yaml")
    )


@pytest.mark.parametrize("overlay", BOTH)
def test_both_parts_know_the_same_targets(overlay: str) -> None:
    """The sidecar serves only targets that the exporter reads, at the same addresses, so that kill links join."""
    manifests = objects(overlay)
    read, served = (
        {target["name"]: (target["url"], target["applications"]) for target in content["targets"]}
        for content in (
            yaml.safe_load(configuration(manifests, named(manifests, "Deployment", part)))
            for part in ("dumbella-exporter", "dumbella-sidecar")
        )
    )
    assert served.items() <= read.items()


@pytest.mark.parametrize("part", ["exporter", "sidecar"])
@pytest.mark.parametrize("overlay", BOTH)
def test_what_secrets_hold_is_told(overlay: str, part: str) -> None:
    """The comments that tell how to make a Secret name exactly the keys that the configuration expects."""
    manifests = objects(overlay)
    expected = conventions.secret_files(manifests, named(manifests, "Deployment", f"dumbella-{part}"))
    told = re.findall(r"--from-file=([\w.-]+)", (KUBERNETES / "base" / part / "kustomization.yaml").read_text())
    if overlay == "example" and part == "sidecar":
        assert "the key `web.yml`" in (KUBERNETES / "example" / "kustomization.yaml").read_text()
        told.append("web.yml")
    assert sorted(told) == sorted(file.name for file in expected)


def test_the_image_is_the_one_that_is_pinned() -> None:
    """Both parts run the image of the one list of versions, which is this version of the package."""
    (pinned,) = re.findall(r"^DUMBELLA_EXPORTER_IMAGE=(.*)$", (ROOT / ".env").read_text(), re.MULTILINE)
    assert f"dumbella-exporter:{exporter.__version__}" == pinned
    for overlay, image in (("base", pinned), ("example", f"registry.example.com/{pinned}")):
        assert {image} == {container(each)["image"] for each in of_kind(objects(overlay), "Deployment")}


def test_pods_run_as_the_images_user() -> None:
    """The numbers of user and group are those that the image itself runs as, so that volumes fit both."""
    (user,) = re.findall(r"^USER (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    for deployment in of_kind(objects("base"), "Deployment"):
        context = pod(deployment)["spec"]["securityContext"]
        assert user == f"{context['runAsUser']}:{context['runAsGroup']}"
        assert context["runAsGroup"] == context["fsGroup"]


def test_kills_under_way_have_their_time() -> None:
    """The sidecar's pod is ended only after requests and kills had twice the time that they may take to drain."""
    manifests = objects("base")
    sidecar = named(manifests, "Deployment", "dumbella-sidecar")
    assert "timeouts" not in yaml.safe_load(configuration(manifests, sidecar))["kill"]
    assert 2 * 10 < pod(sidecar)["spec"]["terminationGracePeriodSeconds"]


def test_the_operator_gets_the_rules_as_they_are() -> None:
    """The PrometheusRule of the overlay holds exactly the groups of the rules file."""
    (rules,) = of_kind(objects("operator"), "PrometheusRule")
    assert yaml.safe_load((ROOT / "alerts" / "dumbella.rules.yml").read_text()) == rules["spec"]


def test_grafana_gets_every_dashboard_as_it_is() -> None:
    """Each dashboard is a ConfigMap with the label that Grafana's chart looks for, named after its uid."""
    maps = [each for each in of_kind(objects("operator"), "ConfigMap") if "dashboard" in each["metadata"]["name"]]
    assert {"1"} == {each["metadata"]["labels"]["grafana_dashboard"] for each in maps}
    shipped = [json.loads(file.read_text()) for file in (ROOT / "dashboards").glob("*.json")]
    assert {f"{each['uid']}.json": each for each in shipped} == {
        file: json.loads(text) for each in maps for file, text in each["data"].items()
    }


def test_annotations_lead_to_the_metrics() -> None:
    """The annotations name the port on which each part listens, and the path of its metrics."""
    for deployment in of_kind(objects("annotations"), "Deployment"):
        (port,) = container(deployment)["ports"]
        assert {
            "prometheus.io/scrape": "true",
            "prometheus.io/port": str(port["containerPort"]),
            "prometheus.io/path": "/metrics",
        } == pod(deployment)["metadata"]["annotations"]


def test_prometheus_may_log_in_to_the_example() -> None:
    """Where the sidecar has users, its monitor has the login of one of them."""
    manifests = objects("example")
    assert "/run/secrets/dumbella/web.yml" == flag(
        named(manifests, "Deployment", "dumbella-sidecar"), "--web.config.file", ""
    )
    (endpoint,) = named(manifests, "ServiceMonitor", "dumbella-sidecar")["spec"]["endpoints"]
    assert {"dumbella-sidecar-scrape"} == {reference["name"] for reference in endpoint["basicAuth"].values()}


def test_a_clone_is_all_that_is_needed(tmp_path: Path) -> None:
    """An overlay of one's own, outside the checkout, needs nothing but the folder's address."""
    own = tmp_path / "kustomization.yaml"
    own.write_text(f"namespace: jobs\nresources: [{os.path.relpath(KUBERNETES, tmp_path)}/base/exporter]\n")
    assert {"jobs"} == {each["metadata"]["namespace"] for each in rendered(tmp_path)}
