"""A stand-in for Cockpit and Dumbella that runs real processes.

It is built from what is publicly known about them, and from guesses where that is silent: docs/simulator.md tells
which is which. It shares no code with the client, so that it can prove the client wrong.
"""

from __future__ import annotations

from collections.abc import Mapping

from exporter.simulator.app import application
from exporter.simulator.command import simulate
from exporter.simulator.dialects import DIALECTS as _DIALECTS
from exporter.simulator.faults import FAULTS
from exporter.simulator.simulation import Simulator, SimulatorOptions

#: Name → one line, for people.
DIALECTS: Mapping[str, str] = {name: dialect.description for name, dialect in _DIALECTS.items()}

__all__ = ["DIALECTS", "FAULTS", "Simulator", "SimulatorOptions", "application", "simulate"]
