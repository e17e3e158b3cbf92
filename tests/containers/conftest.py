"""A real container engine and the images that run in it, once for all tests of this folder.

- ``engine``: the engine that answers on this machine, or one that is started for the tests as root and ended with them.
  ``engine.docker("compose", …)`` and ``engine.run(program, …)`` run clients of it; testcontainers uses it, too.
- ``images``: the names of the project's image and of Prometheus' and Alertmanager's: ``images.exporter``,
  ``images.prometheus``, ``images.alertmanager``. They are the pinned official ones where those can be pulled, otherwise
  stand-ins (``images.official`` tells).

Where there is no engine the tests are skipped with the reason, under ``CI=true`` they fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.engine import Engine, NoEngineError, running_engine
from tests.containers.images import Images, provide_images
from tests.parts import missing
from tests.prometheus import MissingError

#: Seconds that a test may take with its fixtures; the first one waits for the images to be made.
_TIMEOUT = 1200
#: What the report tells of the tests' engine and images.
_USED = pytest.StashKey[list[str]]()


@pytest.fixture(scope="package")
def engine(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that answers, also to testcontainers."""
    with pytest.MonkeyPatch.context() as environment:
        try:
            with running_engine(tmp_path_factory.mktemp("engine")) as engine:
                environment.setenv("DOCKER_HOST", engine.url)
                # It would remove what is left behind, but has to be pulled; here everything is removed by its fixture.
                environment.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
                pytestconfig.stash[_USED] = [f"{engine.versions} at {engine.url}"]
                yield engine
        except NoEngineError as error:
            missing(str(error))


@pytest.fixture(scope="package")
def images(engine: Engine, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Images:
    """The project's image and those that it is used with."""
    try:
        images = provide_images(engine, tmp_path_factory.mktemp("images"))
    except MissingError as error:
        missing(str(error))
    pytestconfig.stash[_USED] += [str(images)]
    return images


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder the time that making images takes on a busy machine."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(_TIMEOUT))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell which engine and which images the tests used."""
    if used := config.stash.get(_USED, []):
        terminalreporter.section("containers")
        for line in used:
            terminalreporter.line(line)
