"""Kubernetes objects, as dictionaries, and how they refer to each other."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

Manifest = dict[str, Any]


def of_kind(manifests: Iterable[Manifest], kind: str) -> list[Manifest]:
    """Return the objects of one kind."""
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def name(manifest: Manifest) -> str:
    """Return the name of an object."""
    found: str = manifest["metadata"]["name"]
    return found


def named(manifests: Iterable[Manifest], kind: str, wanted: str) -> Manifest:
    """Return the one object of a kind with a name; a hash at its end does not count.

    Raises:
        ValueError: there is none, or there are several.
    """
    (found,) = (each for each in of_kind(manifests, kind) if name(each) == wanted or _original_name(each) == wanted)
    return found


def _original_name(manifest: Manifest) -> str:
    return name(manifest).rpartition("-")[0]


def pod(deployment: Manifest) -> Manifest:
    """Return the template of a Deployment's pods."""
    template: Manifest = deployment["spec"]["template"]
    return template


def container(deployment: Manifest) -> dict[str, Any]:
    """Return the only container of a Deployment's pods."""
    (found,) = pod(deployment)["spec"]["containers"]
    only: dict[str, Any] = found
    return only


def selects(labels: Mapping[str, str], manifest: Manifest) -> bool:
    """Tell whether an object has all the labels of a selector, which must not be empty."""
    return bool(labels) and labels.items() <= manifest["metadata"].get("labels", {}).items()


def flag(deployment: Manifest, wanted: str, default: str) -> str:
    """Return the value that a container's arguments give to a flag, the last one if there are several."""
    values = _values(container(deployment)["args"], wanted)
    return values[-1] if values else default


def _values(arguments: Sequence[str], wanted: str) -> list[str]:
    return [value for argument, value in itertools.pairwise(arguments) if argument == wanted]


def mounts(deployment: Manifest) -> Iterator[tuple[PurePosixPath, dict[str, Any]]]:
    """Yield where each volume of a Deployment is mounted, and what it is."""
    volumes = {volume["name"]: volume for volume in pod(deployment)["spec"]["volumes"]}
    for mount in container(deployment)["volumeMounts"]:
        yield PurePosixPath(mount["mountPath"]), volumes[mount["name"]]


def mounted(deployment: Manifest, kind: str) -> tuple[PurePosixPath, dict[str, Any]]:
    """Return where the only volume of a kind (``configMap``, ``secret``…) is mounted, and what it is made of.

    Raises:
        ValueError: there is none, or there are several.
    """
    (found,) = ((path, volume[kind]) for path, volume in mounts(deployment) if kind in volume)
    return found


def configuration(manifests: Iterable[Manifest], deployment: Manifest) -> str:
    """Return the text of the file that ``--config.file`` names.

    Raises:
        KeyError: no ConfigMap that is mounted there has it.
        ValueError: the same.
    """
    folder, volume = mounted(deployment, "configMap")
    file = PurePosixPath(flag(deployment, "--config.file", ""))
    if file.parent != folder:
        raise ValueError(f"{file} is not in the ConfigMap at {folder}")
    (found,) = (each for each in of_kind(manifests, "ConfigMap") if name(each) == volume["name"])
    text: str = found["data"][file.name]
    return text
