"""The images that the tests run: the project's own, and those that it is used with.

Where the pinned official images can be pulled they are used. Elsewhere stand-ins are made of the distribution: its
Python as the base of the project's image, and the Prometheus and Alertmanager that scripts/fetch-prometheus unpacked,
placed and started as the official images do it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests import prometheus
from tests.containers.engine import ROOT, Engine


@dataclass(frozen=True, slots=True)
class Images:
    """Names of images that the engine has.

    Attributes:
        python: what the project's image is built on.
        exporter: the project's own.
        prometheus: a Prometheus 3.
        alertmanager: an Alertmanager of its generation.
        official: whether all but the project's own are the pinned official images.
    """

    python: str
    exporter: str
    prometheus: str
    alertmanager: str
    official: bool


def provide_images(engine: Engine, folder: Path) -> Images:
    """Pull or make all images.

    Args:
        engine: what gets them.
        folder: for what stand-ins are made of.

    Raises:
        MissingError: what a stand-in would be made of is not here.
    """
    pins = pinned()
    official = [pins["PYTHON_IMAGE"], pins["PROMETHEUS_IMAGE"], pins["ALERTMANAGER_IMAGE"]]
    pulled = all(engine.docker("pull", image, check=False).returncode == 0 for image in official)
    if pulled:
        python, prometheus_image, alertmanager_image = official
    else:
        python = _python_stand_in(engine)
        prometheus_image, alertmanager_image = _prometheus_stand_ins(engine, python, folder)
    exporter = build_exporter(engine, python, "dumbella-exporter:tested")
    return Images(python, exporter, prometheus_image, alertmanager_image, official=pulled)


def pinned() -> Mapping[str, str]:
    """Return the images that the project names, by their variables in ``.env``."""
    lines = (ROOT / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def build_exporter(
    engine: Engine, python: str, tag: str, *options: str, environment: Mapping[str, str] | None = None
) -> str:
    """Build the project's image without any network, of wheels that are downloaded before, and return its name.

    Args:
        python: the base image.
        tag: the image's name.
        options: further options of ``docker build``.
        environment: further variables of ``docker``.
    """
    version = "import sys; print('%d.%d' % sys.version_info[:2])"
    running = engine.docker("run", "--rm", "--network=none", python, "python3", "-c", version).stdout.strip()
    engine.run(ROOT / "scripts" / "make-wheelhouse", running)
    engine.run(
        ROOT / "scripts" / "build-image",
        f"--tag={tag}",
        f"--build-arg=PYTHON_IMAGE={python}",
        "--build-arg=PIP_NO_INDEX=1",
        # Not the time of the last commit, so that two builds are of one time even if somebody commits in between.
        "--build-arg=SOURCE_DATE_EPOCH=1577836800",
        "--network=none",
        *options,
        environment=environment,
    )
    return tag


def _python_stand_in(engine: Engine) -> str:
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        raise prometheus.MissingError("no image can be pulled, and only root with debootstrap can make one")
    archive = engine.run(ROOT / "scripts" / "make-base-image").stdout.strip()
    engine.docker("import", archive, "dumbella-exporter-base:tested")
    return "dumbella-exporter-base:tested"


def _prometheus_stand_ins(engine: Engine, base: str, folder: Path) -> tuple[str, str]:
    programs = folder / "programs"
    programs.mkdir()
    for name in ("prometheus", "promtool", "amtool"):
        shutil.copy(prometheus.find(name, "3.x"), programs / name)
    # Unpacked from the distribution's package it is a script, beside the program and its templates.
    usr = prometheus.find("alertmanager", "3.x").parent.parent
    unpacked = usr / "lib" / "alertmanager"
    shutil.copy(unpacked if unpacked.exists() else usr / "bin" / "alertmanager", programs / "alertmanager")
    (programs / "templates").mkdir()
    if unpacked.exists():
        for template in (usr / "share" / "prometheus" / "alertmanager").glob("*.tmpl"):
            shutil.copy(template, programs / "templates")
    return _built(engine, base, programs, "prometheus"), _built(engine, base, programs, "alertmanager")


def _built(engine: Engine, base: str, context: Path, target: str) -> str:
    tag = f"{target}-stand-in:tested"
    dockerfile = Path(__file__).parent / "stand-ins.Dockerfile"
    options = [f"--file={dockerfile}", f"--target={target}", f"--build-arg=BASE={base}", "--network=none"]
    engine.docker("build", *options, f"--tag={tag}", context)
    return tag
