"""What a pod runs, as a process of this machine: the rendered arguments, configuration and secrets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.manifests import Manifest, container, mounts, name, named
from tests.processes import COMMAND, running


@dataclass(frozen=True, slots=True)
class Part:
    """A running part.

    Attributes:
        url: its address, without a slash at the end.
        volumes: the folder that stands for each volume, by where the pod mounts it.
    """

    url: str
    volumes: Mapping[str, Path]


@contextlib.contextmanager
def running_part(
    manifests: Sequence[Manifest], deployment: Manifest, folder: Path, secrets: Mapping[str, str], dumbella: str
) -> Iterator[Part]:
    """Run what a Deployment's container runs, until the end of the block.

    Args:
        manifests: the objects among which it is.
        deployment: the Deployment.
        folder: for what stands for its volumes, and its output.
        secrets: the content of each key of its Secret.
        dumbella: the address that stands for https://apps.example.com in its configuration.
    """
    volumes = {str(path): folder / volume["name"] for path, volume in mounts(deployment)}

    def here(text: str) -> str:
        for path, place in volumes.items():
            text = text.replace(path, str(place))
        return text.replace("https://apps.example.com", dumbella)

    for path, volume in mounts(deployment):
        place = volumes[str(path)]
        place.mkdir()
        content = secrets if "secret" in volume else {}
        if "configMap" in volume:
            content = named(manifests, "ConfigMap", volume["configMap"]["name"])["data"]
        for key, text in content.items():
            (place / key).write_text(here(text))
    arguments = [here(argument) for argument in container(deployment)["args"]]
    # All addresses of this machine, as in the pod, with a port that is free.
    command = [COMMAND, *arguments, "--web.listen-address", ":0"]
    with running(command, folder, name=name(deployment)) as process:
        yield Part(process.listening_url(), volumes)
