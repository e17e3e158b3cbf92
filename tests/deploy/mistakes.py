"""Mistakes that are made in manifests, each with words of the problem that has to be found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.deploy.manifests import Manifest, container, name, named, of_kind, pod


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake.

    Attributes:
        make: makes it in the objects of the example, in place.
        found: what one of the problems says.
    """

    name: str
    make: Callable[[list[Manifest]], None]
    found: str


def _exporter(manifests: list[Manifest]) -> Manifest:
    return named(manifests, "Deployment", "dumbella-exporter")


def _sidecar(manifests: list[Manifest]) -> Manifest:
    return named(manifests, "Deployment", "dumbella-sidecar")


def _sets(kind: str, which: str, path: str, value: Any) -> Callable[[list[Manifest]], None]:
    """Set a field, given by a dotted path, of an object."""

    def make(manifests: list[Manifest]) -> None:
        *parents, last = path.split(".")
        field: Any = named(manifests, kind, which)
        for key in parents:
            field = field[int(key) if key.isdigit() else key]
        field[last] = value

    return make


def _in_container(key: str, value: Any) -> Callable[[list[Manifest]], None]:
    def make(manifests: list[Manifest]) -> None:
        container(_exporter(manifests))[key] = value

    return make


def _confines_less(key: str, value: Any) -> Callable[[list[Manifest]], None]:
    def make(manifests: list[Manifest]) -> None:
        container(_exporter(manifests))["securityContext"][key] = value

    return make


def _shares_the_kill_credential(manifests: list[Manifest]) -> None:
    spec = pod(_exporter(manifests))["spec"]
    spec["volumes"].append({"name": "more", "secret": {"secretName": "dumbella-sidecar", "defaultMode": 0o440}})
    container(_exporter(manifests))["volumeMounts"].append({"name": "more", "mountPath": "/run/secrets/more"})


def _loses_its_configuration(manifests: list[Manifest]) -> None:
    (config_map,) = (each for each in of_kind(manifests, "ConfigMap") if name(each).startswith("dumbella-exporter-"))
    config_map["data"] = {"config.yml": ""}


def _misspells_a_rule(manifests: list[Manifest]) -> None:
    (rules,) = of_kind(manifests, "PrometheusRule")
    rules["spec"]["groups"][0]["rules"][0]["keepFiringFor"] = "5m"


def _labels_no_job(manifests: list[Manifest]) -> None:
    del named(manifests, "ServiceMonitor", "dumbella-sidecar")["spec"]["jobLabel"]


_SELECTED = "spec.selector.matchLabels"
MISTAKES = (
    Mistake("unknown field", _sets("Service", "dumbella-exporter", "spec.selectors", {}), "'selectors' was unexpected"),
    Mistake("wrong type", _sets("Deployment", "dumbella-exporter", "spec.replicas", "1"), "'1' is not of type"),
    Mistake("unknown kind", _sets("Namespace", "dumbella", "kind", "NameSpaces"), "Couldn't find schema"),
    Mistake("unknown field of a rule", _misspells_a_rule, "keepFiringFor: no such field"),
    Mistake(
        "wrong type of a monitor",
        _sets("ServiceMonitor", "dumbella-exporter", "spec.endpoints.0.interval", "quarter"),
        "interval: must match pattern",
    ),
    Mistake(
        "selector that misses its pods",
        _sets("Deployment", "dumbella-exporter", _SELECTED, {"app.kubernetes.io/name": "exporter"}),
        "misses its own pods",
    ),
    Mistake(
        "selector that takes both",
        _sets("Deployment", "dumbella-sidecar", _SELECTED, {"app.kubernetes.io/part-of": "dumbella-exporter"}),
        "takes the other pods",
    ),
    Mistake(
        "Service that selects nothing",
        _sets("Service", "dumbella-exporter", "spec.selector", {"app": "dumbella-exporter"}),
        "selected by these of kind Service: []",
    ),
    Mistake(
        "Service that leads to no port",
        _sets("Service", "dumbella-sidecar", "spec.ports.0.targetPort", "web"),
        "its port leads to web",
    ),
    Mistake(
        "budget that selects nothing",
        _sets("PodDisruptionBudget", "dumbella-sidecar", _SELECTED, {"app.kubernetes.io/name": "sidecar"}),
        "of kind PodDisruptionBudget: []",
    ),
    Mistake(
        "budget that blocks drains",
        _sets("PodDisruptionBudget", "dumbella-sidecar", "spec", {"minAvailable": 1, "selector": {"matchLabels": {}}}),
        "keeps a node from being drained",
    ),
    Mistake(
        "policy that is open",
        _sets("NetworkPolicy", "dumbella-exporter", "spec.policyTypes", ["Ingress"]),
        "leaves a direction open",
    ),
    Mistake(
        "policy that lets everybody in",
        _sets("NetworkPolicy", "dumbella-sidecar", "spec.ingress", [{"ports": [{"port": "http"}]}]),
        "lets in from everywhere",
    ),
    Mistake(
        "policy without names",
        _sets("NetworkPolicy", "dumbella-sidecar", "spec.egress", [{"ports": [{"port": 443}]}]),
        "keeps names from being resolved",
    ),
    Mistake("monitor without a job", _labels_no_job, "its scrape job has no name"),
    Mistake(
        "monitor of nothing",
        _sets("ServiceMonitor", "dumbella-sidecar", _SELECTED, {"app": "dumbella-sidecar"}),
        "it selects the Services []",
    ),
    Mistake(
        "monitor of another port",
        _sets("ServiceMonitor", "dumbella-exporter", "spec.endpoints.0.port", "metrics"),
        "scrapes a port that the Service does not have",
    ),
    Mistake(
        "ingress to a missing port",
        _sets("Ingress", "dumbella-sidecar", "spec.rules.0.http.paths.0.backend.service.port.name", "https"),
        "has no port https",
    ),
    Mistake(
        "ingress with another name than the sidecar's",
        _sets("Ingress", "dumbella-sidecar", "spec.rules.0.host", "kill.example.com"),
        "takes itself for https://dumbella.example.com",
    ),
    Mistake("probe of a missing path", _in_container("livenessProbe", {"httpGet": {"path": "/healthz"}}), "/-/healthy"),
    Mistake(
        "another port than it listens on", _in_container("ports", [{"name": "http", "containerPort": 8080}]), ":9877"
    ),
    Mistake("no limit of memory", _in_container("resources", {"requests": {"cpu": "1"}}), "memory is not limited"),
    Mistake("secret in the environment", _in_container("env", [{"name": "KEY", "value": "a"}]), "has an environment"),
    Mistake("writable root", _confines_less("readOnlyRootFilesystem", False), "readOnlyRootFilesystem is False"),
    Mistake("capabilities", _confines_less("capabilities", {"drop": ["NET_RAW"]}), "capabilities is {'drop'"),
    Mistake("root", _confines_less("runAsUser", 0), "runAsUser is not a number other than root's"),
    Mistake("privileged", _confines_less("privileged", True), "it asks for privileged"),
    Mistake(
        "token of the account",
        _sets("ServiceAccount", "dumbella-sidecar", "automountServiceAccountToken", value=True),
        "ServiceAccount's token is mounted",
    ),
    Mistake(
        "two sidecars",
        _sets("Deployment", "dumbella-sidecar", "spec.replicas", 2),
        "its volume would be wanted twice",
    ),
    Mistake("kill credential in the exporter", _shares_the_kill_credential, "it sees the Secrets"),
    Mistake("no configuration", _loses_its_configuration, "no configuration where --config.file says"),
    Mistake(
        "claim that is not there",
        _sets("PersistentVolumeClaim", "dumbella-sidecar-audit", "metadata.name", "audit"),
        "there is no claim dumbella-sidecar-audit",
    ),
)
