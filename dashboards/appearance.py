"""How values look: the one place for colours, mappings and thresholds.

The colours are fixed, so that they are the same on dark and on light: white text can be read on each of them, they
can be told apart without telling red from green, and none stands without its text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

RED = "#C4162A"
AMBER = "#A85A00"
PURPLE = "#8F3BB8"
BLUE = "#1F60C4"
TEAL = "#0B7285"
GREY = "#5F6673"
DARK_GREY = "#454B57"

#: Grafana's names for the colour of ordinary text, which follows the theme, and for none at all.
TEXT = "text"
CLEAR = "transparent"


@dataclass(frozen=True, slots=True)
class Status:
    """How one status of a job is shown.

    Attributes:
        name: the status, as the label has it.
        severity: its number; the worst has the highest.
    """

    name: str
    severity: int
    text: str
    colour: str


STATUSES = (
    Status("ERROR", 7, "Error", RED),
    Status("RESTARTED", 6, "Restarted", AMBER),
    Status("STOPPED", 5, "Stopped", PURPLE),
    Status("DELETED", 4, "Deleted", GREY),
    Status("UNKNOWN", 3, "Unknown", DARK_GREY),
    Status("STARTED", 2, "Started", BLUE),
    Status("ENABLED", 1, "Enabled", TEAL),
    Status("DISABLED", 0, "Disabled", GREY),
)

Mapping_ = Mapping[str, Any]


def value_mapping(*shown: tuple[str, str, str | None]) -> Mapping_:
    """Show values as texts: (value, text, colour) each."""
    options = {
        value: {"text": text, "index": index} | ({"color": colour} if colour else {})
        for index, (value, text, colour) in enumerate(shown)
    }
    return {"type": "value", "options": options}


def pattern_mapping(pattern: str, colour: str) -> Mapping_:
    """Colour texts that match a regular expression, which has the whole text as its first group."""
    return {"type": "regex", "options": {"pattern": pattern, "result": {"text": "$1", "color": colour, "index": 0}}}


STATUS = (value_mapping(*((str(status.severity), status.text, status.colour) for status in STATUSES)),)
UP = (value_mapping(("0", "Down", RED), ("1", "Up", BLUE)),)
ACCEPTED = (value_mapping(("0", "Refused", RED), ("1", "Accepted", BLUE)),)
MODE = (value_mapping(("0", "Live", BLUE), ("1", "Dry run: nothing is killed", AMBER)),)
ALERT_SEVERITY = (value_mapping(("critical", "Critical", RED), ("warning", "Warning", AMBER), ("info", "Info", BLUE)),)
JOB_TYPE = (
    value_mapping(("NONE", "None", None), ("JOB", "Job", None), ("SERVICE", "Service", None), ("UNKNOWN", "?", None)),
)
EXECUTION_MODE = (
    value_mapping(("SEQUENTIAL", "Sequential", None), ("PARALLEL", "Parallel", None), ("UNKNOWN", "?", None)),
)

#: What ``promql.VERSIONS`` puts behind a published version that is not the current one.
NOT_CURRENT = "not current"
PUBLISHED_VERSION = (pattern_mapping(f"(.* {NOT_CURRENT})", AMBER),)

OUTCOMES: Mapping[str, str] = {"done": BLUE, "error": RED, "killed": PURPLE, "unresolved": GREY}

Step = tuple[float | None, str]


def thresholds(*steps: Step) -> Sequence[Step]:
    """Return steps of (from which value on, colour), the first from below."""
    return steps


NEUTRAL = thresholds((None, TEXT))
ANY_IS_BAD = thresholds((None, BLUE), (1, RED))
ANY_IS_WORTH_A_LOOK = thresholds((None, BLUE), (1, AMBER))
UNCOLOURED = thresholds((None, CLEAR))
RUNNING_FOR = thresholds((None, BLUE), (3600, AMBER), (86400, RED))
RUNNING_FOR_CELL = thresholds((None, CLEAR), *RUNNING_FOR[1:])
DATA_AGE = thresholds((None, BLUE), (60, AMBER), (300, RED))
TIME_LEFT = thresholds((None, RED), (0, BLUE))
#: Of a duration against the usual one.
AGAINST_USUAL = thresholds((None, BLUE), (1.5, AMBER), (3, RED))
#: Of a duration against what is allowed.
AGAINST_ALLOWED = thresholds((None, BLUE), (0.8, AMBER), (1, RED))
SUCCESS_RATIO = thresholds((None, RED), (0.9, AMBER), (0.99, BLUE))
