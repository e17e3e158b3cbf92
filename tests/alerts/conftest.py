"""Alertmanager and its tool, of each generation."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.prometheus import GENERATIONS, real_part


@pytest.fixture(scope="module", params=GENERATIONS)
def alertmanager_binary(request: pytest.FixtureRequest) -> Path:
    """``alertmanager``, of each generation in turn."""
    return real_part("alertmanager", request.param)


@pytest.fixture(params=GENERATIONS)
def amtool_binary(request: pytest.FixtureRequest) -> Path:
    """``amtool``, of each generation in turn."""
    return real_part("amtool", request.param)
