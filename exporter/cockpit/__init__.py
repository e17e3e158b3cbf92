"""The only code that knows the REST API of Cockpit and Dumbella."""

from exporter.cockpit.answers import Outcome, Result
from exporter.cockpit.client import CockpitClient, Inspection
from exporter.cockpit.errors import (
    REASONS,
    AuthRejected,
    ClientError,
    CockpitError,
    ConnectFailed,
    NotJSON,
    Redirected,
    RequestTimeout,
    SchemaMismatch,
    ServerError,
    TLSFailed,
    TooLarge,
)
from exporter.cockpit.explanation import Explanation, FieldUse, explain

__all__ = [
    "REASONS",
    "AuthRejected",
    "ClientError",
    "CockpitClient",
    "CockpitError",
    "ConnectFailed",
    "Explanation",
    "FieldUse",
    "Inspection",
    "NotJSON",
    "Outcome",
    "Redirected",
    "RequestTimeout",
    "Result",
    "SchemaMismatch",
    "ServerError",
    "TLSFailed",
    "TooLarge",
    "explain",
]
