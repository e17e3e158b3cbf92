"""The Prometheus configurations: accepted by promtool, and at work in real servers that scrape what they name."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.kubectl import KUBERNETES, ROOT, rendered
from tests.deploy.manifests import Manifest, container, name, of_kind, pod
from tests.deploy.parts import Part
from tests.installation import Simulator
from tests.processes import eventually
from tests.prometheus import GENERATIONS, Prometheus, configured, real_part

CONFIGURATIONS = ROOT / "deploy" / "prometheus"
RULES = ROOT / "alerts" / "dumbella.rules.yml"
#: As promtool says it of a file that is not there.
NO_RULES = "does not point to an existing file"


def laid_out(folder: Path) -> Path:
    """Lay the files out as the configuration says, and return the configuration."""
    shutil.copytree(CONFIGURATIONS, folder, dirs_exist_ok=True)
    (folder / "rules").mkdir()
    shutil.copy(RULES, folder / "rules")
    return folder / "prometheus.yml"


def promtool(binary: Path, configuration: Path) -> subprocess.CompletedProcess[str]:
    """Return what ``promtool check config`` says."""
    return subprocess.run(  # noqa: S603 - found by the fixture
        [binary, "check", "config", "--lint-fatal", configuration], capture_output=True, text=True, check=False
    )


def test_promtool_accepts_the_configuration(promtool_binary: Path, tmp_path: Path) -> None:
    """With rules and addresses where it says, both generations accept it and find all rules."""
    answer = promtool(promtool_binary, laid_out(tmp_path))
    assert (0, "") == (answer.returncode, answer.stderr)
    rules = sum(len(group["rules"]) for group in yaml.safe_load(RULES.read_text())["groups"])
    assert f"SUCCESS: {rules} rules found" in answer.stdout


def test_promtool_notices_missing_rules(promtool_binary: Path, tmp_path: Path) -> None:
    """A forgotten rules file is an error, not silence."""
    configuration = laid_out(tmp_path)
    shutil.rmtree(tmp_path / "rules")
    answer = promtool(promtool_binary, configuration)
    assert (1, True) == (answer.returncode, NO_RULES in answer.stderr)


def test_promtool_accepts_the_configuration_for_clusters() -> None:
    """Prometheus 3 accepts it as it is; Debian's Prometheus 2 is built without Kubernetes' service discovery."""
    answer = promtool(real_part("promtool", "3.x"), CONFIGURATIONS / "kubernetes.yml")
    assert (0, "") == (answer.returncode, answer.stderr)


def pods(simulated_ports: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return what Prometheus' service discovery finds of the annotated pods, and of pods that are none of its business.

    Args:
        simulated_ports: the port in place of the annotated one, by the name of the Deployment.
    """
    manifests = of_kind(rendered(KUBERNETES / "annotations"), "Deployment")
    ours = [_found(each, {"port": simulated_ports[name(each)]}) for each in manifests]
    ended = _found(manifests[0], {"port": "9"}, phase="Succeeded")
    unannotated = _found(manifests[0], {"scrape": "false"})
    other = _found(manifests[0], {"port": simulated_ports["dumbella-exporter"], "path": "/-/healthy"}, part="other")
    return [*ours, ended, unannotated, other]


def _found(deployment: Manifest, annotations: Mapping[str, str], *, phase: str = "Running", part: str = "") -> Any:
    metadata = pod(deployment)["metadata"]
    given = metadata["annotations"] | {f"prometheus.io/{key}": value for key, value in annotations.items()}
    labels = metadata["labels"] | ({"app.kubernetes.io/name": part} if part else {})
    return {
        "targets": [f"127.0.0.1:{port['containerPort']}" for port in container(deployment)["ports"]],
        "labels": {
            "__meta_kubernetes_namespace": "dumbella",
            "__meta_kubernetes_pod_name": f"{part or name(deployment)}-7d4b9c6f5-x2x9z",
            "__meta_kubernetes_pod_phase": phase,
            **{f"__meta_kubernetes_pod_annotation_{_plain(key)}": value for key, value in given.items()},
            **{f"__meta_kubernetes_pod_label_{_plain(key)}": value for key, value in labels.items()},
        },
    }


def _plain(key: str) -> str:
    return re.sub(r"\W", "_", key)


@pytest.fixture(scope="module", params=GENERATIONS)
def prometheus(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    simulator: Simulator,
    exporter_pod: Part,
    sidecar_pod: Part,
) -> Iterator[Prometheus]:
    """A server with both configurations, whose addresses and intervals alone differ from what is shipped."""
    folder = tmp_path_factory.mktemp("prometheus")
    configuration = laid_out(folder)
    addresses = {
        "exporter:9877": exporter_pod.url.partition("//")[2],
        "sidecar:9878": sidecar_pod.url.partition("//")[2],
        "simulator:9876": simulator.url.partition("//")[2],
        "alertmanager:9093": "127.0.0.1:9",
    }
    for file in (configuration, folder / "targets" / "dumbella.yml"):
        text = file.read_text()
        for address, real in addresses.items():
            text = text.replace(address, real)
        file.write_text(text)
    content = yaml.safe_load(configuration.read_text())
    content["global"] = dict.fromkeys(content["global"], "1s")
    (annotated,) = yaml.safe_load((CONFIGURATIONS / "kubernetes.yml").read_text())["scrape_configs"]
    del annotated["kubernetes_sd_configs"], annotated["scrape_interval"], annotated["scrape_timeout"]
    ports = {
        f"dumbella-{part}": addresses[address].rpartition(":")[2]
        for part, address in (("exporter", "exporter:9877"), ("sidecar", "sidecar:9878"))
    }
    (folder / "pods.yml").write_text(yaml.safe_dump(pods(ports)))
    content["scrape_configs"].append({**annotated, "file_sd_configs": [{"files": ["pods.yml"]}]})
    configuration.write_text(yaml.safe_dump(content))
    with configured(real_part("prometheus", request.param), configuration) as running:
        yield running


def targets(prometheus: Prometheus, *pools: str) -> dict[tuple[str, str], tuple[str, str]]:
    """Return the health and the last error of each target, by its job and path."""
    return {
        (target["labels"]["job"], target["scrapeUrl"].partition("//")[2].partition("/")[2]): (
            target["health"],
            target["lastError"],
        )
        for target in prometheus.get("targets", state="active")["activeTargets"]
        if target["scrapePool"] in pools
    }


def test_everything_is_scraped(prometheus: Prometheus) -> None:
    """Exporter, sidecar and Dumbella itself are scraped, under the names that rules and dashboards look for."""

    def scraped() -> None:
        assert {
            ("dumbella-exporter", "metrics"): ("up", ""),
            ("dumbella-sidecar", "metrics"): ("up", ""),
            ("dumbella", "actuator/prometheus"): ("up", ""),
        } == targets(prometheus, "dumbella-exporter", "dumbella-sidecar", "dumbella")
        assert [1.0] == [sample.value for sample in prometheus.query('min(dumbella_up{target="production"})')]
        assert [] != prometheus.query('jvm_threads_live_threads{job="dumbella"}')

    eventually(scraped)


def test_rules_and_alertmanager_are_found(prometheus: Prometheus) -> None:
    """The server evaluates every shipped group, and would send alerts to the configured Alertmanager."""
    groups = {group["name"] for group in yaml.safe_load(RULES.read_text())["groups"]}
    assert groups == {group["name"] for group in prometheus.get("rules")["groups"]}

    def known() -> None:
        found = [each["url"] for each in prometheus.get("alertmanagers")["activeAlertmanagers"]]
        assert ["http://127.0.0.1:9/api/v2/alerts"] == found

    eventually(known)


def test_annotated_pods_become_the_right_jobs(prometheus: Prometheus) -> None:
    """Pods are scraped where their annotations say, ours under their jobs' names, others under the common one."""

    def scraped() -> None:
        found = targets(prometheus, "annotated-pods")
        assert {
            ("dumbella-exporter", "metrics"): ("up", ""),
            ("dumbella-sidecar", "metrics"): ("up", ""),
        }.items() <= found.items()
        assert {("annotated-pods", "-/healthy")} == found.keys() - {
            ("dumbella-exporter", "metrics"),
            ("dumbella-sidecar", "metrics"),
        }

    eventually(scraped)
