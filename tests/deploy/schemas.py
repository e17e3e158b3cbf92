"""Kubernetes objects against the schemas of the API servers that will see them, without any server.

kubernetes-validate has those of Kubernetes itself; what the Prometheus operator adds is in an npm package that is made
from the operator's own definitions (0.90).
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import kubernetes_validate

from tests.deploy.manifests import Manifest, name
from tests.parts import missing

#: The oldest minor version of Kubernetes that the manifests promise to work with, and the newest that is known.
VERSIONS = ("1.27", kubernetes_validate.latest_version())

_NODE = Path(__file__).parent / "node"
_OPERATOR = "monitoring.coreos.com/v1"


def problems(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Yield what the API servers would refuse, a sentence each; unknown fields count."""
    for manifest in manifests:
        if manifest["apiVersion"] != _OPERATOR:
            found = _of_kubernetes(json.dumps(manifest))
            yield from (f"{manifest['kind']} {name(manifest)}: {problem}" for problem in found)
    extended = [manifest for manifest in manifests if manifest["apiVersion"] == _OPERATOR]
    if extended:
        for manifest, sentences in zip(extended, _of_the_operator(extended), strict=True):
            yield from (f"{manifest['kind']} {name(manifest)}: {sentence}" for sentence in sentences)


@cache
def _of_kubernetes(manifest: str) -> Sequence[str]:
    """Return what is wrong with an object, given as JSON; most objects are the same in all overlays."""
    found = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(json.loads(manifest), version, strict=True)
        except kubernetes_validate.ValidationError as error:
            path = ".".join(map(str, error.path))
            found.append(f"Kubernetes {version}: {path}: {error.message}")
        except kubernetes_validate.SchemaNotFoundError as error:
            found.append(f"Kubernetes {version}: {error.message}")
    return found


def _of_the_operator(manifests: Sequence[Manifest]) -> list[list[str]]:
    """Return what ``problems.mjs`` finds in each object; without Node, skip the test, or under ``CI=true`` fail it."""
    if shutil.which("node") is None:
        missing("node is not on PATH; scripts/setup test says how to get it")
    if not (_NODE / "node_modules" / "@kubernetes-models").is_dir():
        missing(f"{_NODE} has no node_modules; scripts/setup test installs them")
    answer = subprocess.run(  # noqa: S603 - the project's own program
        ["node", _NODE / "problems.mjs"],  # noqa: S607 - found above
        input=json.dumps(manifests),
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[list[str]] = json.loads(answer.stdout)
    return found
