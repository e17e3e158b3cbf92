"""What can come of a request to kill: one vocabulary for pages, API, audit and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from exporter.catalogue import KillOutcome

Outcome: TypeAlias = KillOutcome

#: Each outcome in words, for people.
WORDS: Mapping[Outcome, str] = {
    "requested": "Cockpit has accepted the kill; the run is still listed.",
    "confirmed": "Confirmed: Cockpit accepted the kill, and the run is gone.",
    "unconfirmed": "Unconfirmed: Cockpit accepted the kill, but still lists the run.",
    "rejected": "Rejected: the run was not killed.",
    "unknown": "Unknown: the answer to the kill was lost or told nothing, and the run is still listed.",
    "unknown_gone": "Unknown: the kill's answer was lost or told nothing; the run is gone now, for whatever reason.",
    "already_finished": "Already finished: the run had ended before it was killed.",
    "stale": "This is not the run that you clicked: it started at another time.",
    "denied": "Denied: nothing was sent.",
    "rate_limited": "Too many kills: nothing was sent.",
    "cooldown": "This run was killed a moment ago: nothing was sent.",
    "dry_run": "Dry run: everything was checked and recorded, and nothing was sent.",
    "audit_failed": "The audit record could not be written: nothing was sent.",
}
OUTCOMES = tuple(WORDS)
