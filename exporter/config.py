"""The configuration file as typed models; every problem names its key, what was wrong and what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from exporter.cockpit.profiles import Profile


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Global(_Section):
    """Durations in seconds."""

    interval: float = 15.0
    timeout: float = 10.0
    stale_after: float = 60.0


class Auth(_Section):
    """How requests to a target are authenticated."""

    bearer_token_file: Path | None = None
    cookie_file: Path | None = None
    headers: dict[str, str] = {}


class Tls(_Section):
    """How a target's certificate is judged, and which one is shown to it."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None
    insecure_skip_verify: bool = False


class Results(_Section):
    """Where Dumbella answers ``/execution/{id}/result``."""

    url: str


class JobFilter(_Section):
    """Globs on job names: a job is shown when it matches one of ``include`` and none of ``exclude``."""

    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()


class Limits(_Section):
    """Caps per target."""

    jobs: int = 10_000
    executions: int = 500
    response_bytes: int = 64 * 1024 * 1024


class Target(_Section):
    """One Cockpit (or Pages, or App Composer) installation."""

    name: str
    url: str
    profile: str = "cockpit"
    applications: tuple[str, ...] | Literal["discover"]
    auth: Auth = Auth()
    tls: Tls = Tls()
    proxy_url: str | None = None
    results: Results | None = None
    jobs: JobFilter = JobFilter()
    limits: Limits = Limits()
    error_detail: bool = True


class Expectation(_Section):
    """What an operator expects of the jobs that match; durations in seconds."""

    target: str = "*"
    application: str = "*"
    job: str = "*"
    max_runtime: float | None = None
    success_every: float | None = None


class Config(_Section):
    """The whole file."""

    global_: Global = Global()
    targets: tuple[Target, ...] = ()
    profiles: dict[str, Any] = {}
    expectations: tuple[Expectation, ...] = ()
    state_file: Path | None = None
    kill: dict[str, Any] = {}

    def profile(self, target: Target) -> Profile:
        """Return the profile that ``target`` uses, with everything it extends folded in."""
        raise NotImplementedError
