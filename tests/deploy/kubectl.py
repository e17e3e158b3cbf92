"""The real kubectl, which renders the manifests as their users do it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import yaml

from tests.deploy.manifests import Manifest
from tests.parts import missing
from tests.prometheus import MissingError

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
#: What can be applied as it is.
OVERLAYS = ("base/exporter", "base/sidecar", "base", "operator", "annotations", "example")
#: Older ones do not know all that the kustomizations use.
_OLDEST_KUSTOMIZE = 5


def find() -> Path:
    """Return the path of a kubectl: fetched for the project, or on PATH.

    Raises:
        MissingError: neither place has one that is new enough.
    """
    for folder in (f"{ROOT}/.cache/kubectl/usr/bin", os.environ.get("PATH", "")):
        path = shutil.which("kubectl", path=folder)
        if path is not None and int(kustomize_version(Path(path)).split(".")[0]) >= _OLDEST_KUSTOMIZE:
            return Path(path)
    raise MissingError("kubectl 1.27 or newer is neither on PATH nor fetched; scripts/setup test says why")


def kubectl() -> Path:
    """Return the path of a kubectl; where it is missing, skip the test, or under ``CI=true`` fail it."""
    try:
        return find()
    except MissingError as error:
        missing(str(error))


def kustomize_version(program: Path) -> str:
    """Return the version of kustomize that a kubectl has in it, ``0`` where it is too old to tell."""
    answer = subprocess.run(  # noqa: S603 - found above
        [program, "version", "--client", "--output", "json"], capture_output=True, text=True, check=True
    )
    version: str = json.loads(answer.stdout).get("kustomizeVersion", "v0")
    return version.removeprefix("v")


def rendered(folder: Path) -> list[Manifest]:
    """Return the objects of a kustomization.

    Raises:
        AssertionError: kubectl refuses it, or has something to say.
    """
    answer = subprocess.run(  # noqa: S603 - found above
        [kubectl(), "kustomize", folder], capture_output=True, text=True, check=False
    )
    assert (0, "") == (answer.returncode, answer.stderr)
    return list(yaml.load_all(answer.stdout, yaml.CSafeLoader))
