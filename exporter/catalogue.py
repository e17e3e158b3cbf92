"""Every metric, declared once: what it is called, what it means, which labels it has and where its samples come from.

The exposition, the metric reference in docs/ and the tests of dashboards and alerts all read this one list.

A metric that describes a target, an application, a job or an execution has a function from that view to its samples;
the exporter's own metrics have none, because :mod:`exporter.telemetry` counts them as things happen.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, TypeVar, get_args

from exporter.cockpit.errors import REASONS
from exporter.model import STATUSES
from exporter.observe import DURATION_BUCKETS, OUTCOMES, Exemplar
from exporter.snapshot import ApplicationView, ExecutionView, JobView, TargetView

Kind = Literal["gauge", "counter", "info", "summary", "histogram"]
Stability = Literal["stable", "experimental"]

#: What can come of a request to kill, for metrics, pages, API and audit alike; ``requested`` is still in progress.
KillOutcome = Literal[
    "requested",
    "confirmed",
    "unconfirmed",
    "rejected",
    "unknown",
    "unknown_gone",
    "already_finished",
    "stale",
    "denied",
    "rate_limited",
    "cooldown",
    "dry_run",
    "audit_failed",
]

TARGET_LABELS = ("target",)
APPLICATION_LABELS = ("target", "application")
JOB_LABELS = ("target", "application", "job_id", "job_name")

#: What is asked for at each read, and can fail on its own.
COLLECTORS = ("jobs", "executions", "results")
#: The first line of an error is cut to this many characters.
ERROR_LABEL_LENGTH = 160


class Sample(NamedTuple):
    """One line: the values of the labels that a family adds to its view's own, a value, and what makes it special."""

    value: float
    labels: tuple[str, ...] = ()
    suffix: str = ""
    exemplar: Exemplar | None = None


View = TypeVar("View", TargetView, ApplicationView, JobView, ExecutionView)


@dataclass(frozen=True, slots=True)
class Metric:
    """One family.

    ``labels`` is the whole label set, in order. ``values`` names the values of labels that have a fixed set.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    stability: Stability = "stable"
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Derived(Metric, Generic[View]):
    """A family whose samples are a function of a view."""

    samples: Callable[[View], Iterable[Sample]] = lambda _: ()


def _present(value: float | None) -> Iterator[Sample]:
    """Missing is absent: neither 0 nor NaN."""
    if value is not None:
        yield Sample(value)


# --- per job ---------------------------------------------------------------------------------------------------------


def _job_version_number(version: str) -> float | None:
    # Versions are counters; one of any other form, or too large for a float, has no order that PromQL could compare.
    is_counter = version.isascii() and version.isdigit() and len(version) <= sys.float_info.dig
    return float(version) if is_counter else None


_STATE_SETS = {
    current: tuple(Sample(float(status == current), (status,)) for status in STATUSES) for current in STATUSES
}


def error_summary(error: str) -> str:
    """Return the first line of an error that says something, white space folded, cut to what a label can bear."""
    line = next((line for line in error.splitlines() if line.strip()), "")
    folded = " ".join(line.split())
    return folded if len(folded) <= ERROR_LABEL_LENGTH else folded[: ERROR_LABEL_LENGTH - 1] + "…"


def _job_error(view: JobView) -> Iterator[Sample]:
    if view.job.status == "ERROR" and view.error_detail:
        yield Sample(1, (error_summary(view.job.error),))


def _service_start(view: JobView) -> Iterator[Sample]:
    if view.job.status in {"STARTED", "RESTARTED"}:
        yield from _present(view.job.started_at)


def _job_durations(view: JobView) -> Iterator[Sample]:
    yield Sample(view.history.duration_sum, suffix="_sum")
    yield Sample(view.history.duration_count, suffix="_count")


JOB_FACTS: tuple[Derived[JobView], ...] = (
    Derived(
        "dumbella_job_info",
        "info",
        "Facts about a job as Cockpit lists it.",
        (*JOB_LABELS, "job_type", "execution_mode"),
        samples=lambda view: [Sample(1, (view.job.job_type, view.job.execution_mode))],
    ),
    Derived(
        "dumbella_job_version_info",
        "info",
        "Versions of a job as Cockpit reports them, empty where it reports none.",
        (*JOB_LABELS, "current_version", "published_version"),
        samples=lambda view: [Sample(1, (view.job.current_version, view.job.published_version))],
    ),
    Derived(
        "dumbella_job_current_version",
        "gauge",
        "Current version of a job as a number; absent where Cockpit reports none or not a number.",
        JOB_LABELS,
        samples=lambda view: _present(_job_version_number(view.job.current_version)),
    ),
    Derived(
        "dumbella_job_published_version",
        "gauge",
        "Published version of a job as a number; absent where Cockpit reports none or not a number.",
        JOB_LABELS,
        samples=lambda view: _present(_job_version_number(view.job.published_version)),
    ),
    Derived(
        "dumbella_job_status",
        "gauge",
        "Status of a job: 1 for the status that Cockpit reports, 0 for the others. UNKNOWN stands for a status that is "
        "missing or that this exporter does not know.",
        (*JOB_LABELS, "status"),
        values=STATUSES,
        samples=lambda view: _STATE_SETS[view.job.status],
    ),
    Derived(
        "dumbella_job_error_info",
        "info",
        "First line of the error of a job in status ERROR, at most 160 characters; the whole text is in the log. It "
        "may hold whatever the job printed: error_detail turns it off.",
        (*JOB_LABELS, "error"),
        "experimental",
        samples=_job_error,
    ),
    Derived(
        "dumbella_job_last_update_timestamp_seconds",
        "gauge",
        "When a job was last updated, as Cockpit reports it; it also moves when a service is started or stopped.",
        JOB_LABELS,
        samples=lambda view: _present(view.job.last_update),
    ),
    Derived(
        "dumbella_job_service_start_timestamp_seconds",
        "gauge",
        "When a running service was started, where Cockpit reports it.",
        JOB_LABELS,
        "experimental",
        samples=_service_start,
    ),
)

JOB_RUNNING: tuple[Derived[JobView], ...] = (
    Derived(
        "dumbella_job_running_executions",
        "gauge",
        "Executions of a job in progress at the latest read, 0 if none. Dumbella lists no executions of services.",
        JOB_LABELS,
        samples=lambda view: _present(None if view.running is None else view.running.executions),
    ),
    Derived(
        "dumbella_job_oldest_running_execution_start_timestamp_seconds",
        "gauge",
        "Start of the job's execution that has been in progress for longest; absent if none is.",
        JOB_LABELS,
        samples=lambda view: _present(None if view.running is None else view.running.oldest_start),
    ),
)

JOB_OBSERVED: tuple[Derived[JobView], ...] = (
    Derived(
        "dumbella_job_executions_started_total",
        "counter",
        "Executions first seen running. Those that start and end between two reads are missed, and those that ran "
        "before observation began are not counted.",
        JOB_LABELS,
        "experimental",
        samples=lambda view: [Sample(view.history.started)],
    ),
    Derived(
        "dumbella_job_executions_finished_total",
        "counter",
        "Executions seen to end, by outcome; unresolved where no result could be had. Those that ran before "
        "observation began are not counted.",
        (*JOB_LABELS, "outcome"),
        "experimental",
        values=OUTCOMES,
        samples=lambda view: [Sample(view.history.finished(outcome), (outcome,)) for outcome in OUTCOMES],
    ),
    Derived(
        "dumbella_job_last_execution_start_timestamp_seconds",
        "gauge",
        "Start of the job's execution that was last seen to end.",
        JOB_LABELS,
        "experimental",
        samples=lambda view: _present(view.history.last_start),
    ),
    Derived(
        "dumbella_job_last_execution_end_timestamp_seconds",
        "gauge",
        "When the job's latest execution to end was first missing from the list; up to one interval late.",
        JOB_LABELS,
        "experimental",
        samples=lambda view: _present(view.history.last_end),
    ),
    Derived(
        "dumbella_job_last_execution_duration_seconds",
        "gauge",
        "Duration of the job's execution that was last seen to end, up to one interval too long; absent if the end "
        "fell into a gap between reads.",
        JOB_LABELS,
        "experimental",
        samples=lambda view: _present(view.history.last_duration),
    ),
    Derived(
        "dumbella_job_last_success_timestamp_seconds",
        "gauge",
        "End of the job's last execution with outcome done; absent until there was one.",
        JOB_LABELS,
        "experimental",
        samples=lambda view: _present(view.history.last_success),
    ),
    Derived(
        "dumbella_job_execution_duration_seconds",
        "summary",
        "Durations of the job's executions that were seen to start and to end, whatever their outcome; no quantiles.",
        JOB_LABELS,
        "experimental",
        samples=_job_durations,
    ),
    Derived(
        "dumbella_job_status_changes_total",
        "counter",
        "Changes of the job's status seen from one read to the next.",
        JOB_LABELS,
        "experimental",
        samples=lambda view: [Sample(view.history.status_changes)],
    ),
)

JOB_EXPECTED: tuple[Derived[JobView], ...] = (
    Derived(
        "dumbella_job_max_runtime_seconds",
        "gauge",
        "How long an execution of this job may run, from the configuration's expectations; only where one matches.",
        JOB_LABELS,
        samples=lambda view: _present(None if view.expectation is None else view.expectation.max_runtime),
    ),
    Derived(
        "dumbella_job_success_interval_seconds",
        "gauge",
        "How often this job must succeed, from the configuration's expectations; only where one matches.",
        JOB_LABELS,
        samples=lambda view: _present(None if view.expectation is None else view.expectation.success_every),
    ),
)

JOB = (*JOB_FACTS, *JOB_RUNNING, *JOB_OBSERVED, *JOB_EXPECTED)


def _execution_start(view: ExecutionView) -> Iterator[Sample]:
    if view.execution.started_at is not None:
        yield Sample(view.execution.started_at, (view.execution.id,))


EXECUTION: tuple[Derived[ExecutionView], ...] = (
    Derived(
        "dumbella_execution_start_timestamp_seconds",
        "gauge",
        "Start of an execution in progress; the oldest ones of a target, up to limits.executions.",
        (*JOB_LABELS, "execution_id"),
        samples=_execution_start,
    ),
)

# --- per application and per target ----------------------------------------------------------------------------------


def _collector_success(view: ApplicationView) -> Iterator[Sample]:
    for collector, success in view.collector_success.items():
        yield Sample(float(success), (collector,))


def _jobs_dropped(view: ApplicationView) -> Iterator[Sample]:
    for reason, count in (view.jobs_dropped or {}).items():
        yield Sample(count, (reason,))


def _executions_dropped(view: ApplicationView) -> Iterator[Sample]:
    for reason, count in (view.executions_dropped or {}).items():
        yield Sample(count, (reason,))


def _durations(view: ApplicationView) -> Iterator[Sample]:
    if view.durations is None:
        return
    cumulated = 0
    for bound, count, exemplar in zip(
        (*DURATION_BUCKETS, math.inf), view.durations.counts, view.durations.exemplars, strict=True
    ):
        cumulated += count
        le = "+Inf" if bound == math.inf else repr(bound)
        yield Sample(cumulated, (le,), "_bucket", exemplar)
    yield Sample(cumulated, suffix="_count")
    yield Sample(view.durations.total, suffix="_sum")


APPLICATION_FACTS: tuple[Derived[ApplicationView], ...] = (
    Derived(
        "dumbella_collector_success",
        "gauge",
        "Whether a collector of an application succeeded in the latest read.",
        (*APPLICATION_LABELS, "collector"),
        values=COLLECTORS,
        samples=_collector_success,
    ),
    Derived(
        "dumbella_snapshot_timestamp_seconds",
        "gauge",
        "When the job data shown for an application was read; absent once it has become stale and is no longer shown.",
        APPLICATION_LABELS,
        samples=lambda view: _present(view.read_at),
    ),
    Derived(
        "dumbella_jobs",
        "gauge",
        "Jobs that Cockpit listed for an application, before filters and limits.",
        APPLICATION_LABELS,
        samples=lambda view: _present(view.jobs),
    ),
    Derived(
        "dumbella_jobs_dropped",
        "gauge",
        "Listed jobs that have no series: left out by the configured filter, over limits.jobs, unreadable, or listed "
        "twice.",
        (*APPLICATION_LABELS, "reason"),
        values=("filter", "limit", "invalid", "duplicate"),
        samples=_jobs_dropped,
    ),
    Derived(
        "dumbella_executions_dropped",
        "gauge",
        "Listed executions that have no series: over limits.executions, unreadable, or listed twice.",
        (*APPLICATION_LABELS, "reason"),
        values=("limit", "invalid", "duplicate"),
        samples=_executions_dropped,
    ),
)

APPLICATION_OBSERVED: tuple[Derived[ApplicationView], ...] = (
    Derived(
        "dumbella_observing_since_timestamp_seconds",
        "gauge",
        "Since when executions of an application are observed, and so since when their counts are meaningful.",
        APPLICATION_LABELS,
        "experimental",
        samples=lambda view: _present(view.observing_since),
    ),
    Derived(
        "dumbella_execution_duration_seconds",
        "histogram",
        "Durations of executions that were seen to start and to end, up to one interval too long each; OpenMetrics "
        "carries execution ids as exemplars.",
        APPLICATION_LABELS,
        "experimental",
        samples=_durations,
    ),
)

APPLICATION = (*APPLICATION_FACTS, *APPLICATION_OBSERVED)

TARGET: tuple[Derived[TargetView], ...] = (
    Derived(
        "dumbella_up",
        "gauge",
        "1 if every collector of every application succeeded in the latest read of the target, else 0. The exporter "
        "reads on an interval of its own, because counting executions needs it; a scrape shows the latest read.",
        TARGET_LABELS,
        samples=lambda view: [Sample(float(view.up))],
    ),
    Derived(
        "dumbella_read_duration_seconds",
        "gauge",
        "Time that the latest read of the target took.",
        TARGET_LABELS,
        samples=lambda view: [Sample(view.read_duration)],
    ),
)

# --- the exporter itself ---------------------------------------------------------------------------------------------

BUILD_INFO = Metric(
    "dumbella_exporter_build_info",
    "info",
    "What this exporter was built from.",
    ("version", "revision", "python_version"),
)
TARGETS = Metric("dumbella_exporter_targets", "gauge", "Targets in the configuration.")
RELOAD_SUCCESSFUL = Metric(
    "dumbella_exporter_config_last_reload_successful",
    "gauge",
    "Whether the configuration was accepted when it was last loaded.",
)
RELOAD_TIMESTAMP = Metric(
    "dumbella_exporter_config_last_reload_success_timestamp_seconds",
    "gauge",
    "When the configuration was last loaded and accepted.",
)
READ_INTERVAL = Metric(
    "dumbella_exporter_read_interval_seconds", "gauge", "How often each target is read, from the configuration."
)
READ_TIMEOUT = Metric(
    "dumbella_exporter_read_timeout_seconds",
    "gauge",
    "How long the lists of a read may take, from the configuration.",
)
REQUEST_DURATION = Metric(
    "dumbella_exporter_api_request_duration_seconds",
    "histogram",
    "Duration of requests to Cockpit and Dumbella, failed ones included.",
    ("target", "endpoint"),
)
REQUEST_FAILURES = Metric(
    "dumbella_exporter_api_request_failures_total",
    "counter",
    "Requests to Cockpit and Dumbella that failed, by reason.",
    ("target", "endpoint", "reason"),
    values=REASONS,
)
UNKNOWN_VALUES = Metric(
    "dumbella_exporter_unknown_values_total",
    "counter",
    "Values of an enumeration that the profile does not know, counted at each read; shown as UNKNOWN.",
    ("target", "field"),
)
MAPPING_ERRORS = Metric(
    "dumbella_exporter_mapping_errors_total",
    "counter",
    "Values that could not be read, counted at each read; a row that lacks its identity is dropped.",
    ("target", "field"),
)
READ_OVERRUNS = Metric(
    "dumbella_exporter_read_overruns_total",
    "counter",
    "Reads that were skipped because the one before had not ended.",
    ("target",),
)

EXPORTER: tuple[Metric, ...] = (
    BUILD_INFO,
    TARGETS,
    RELOAD_SUCCESSFUL,
    RELOAD_TIMESTAMP,
    READ_INTERVAL,
    READ_TIMEOUT,
    REQUEST_DURATION,
    REQUEST_FAILURES,
    UNKNOWN_VALUES,
    MAPPING_ERRORS,
    READ_OVERRUNS,
)

# --- the kill sidecar ------------------------------------------------------------------------------------------------

KILL_BUILD_INFO = Metric(
    "dumbella_kill_build_info",
    "info",
    "What this kill sidecar was built from.",
    ("version", "revision", "python_version"),
)
KILL_INFO = Metric(
    "dumbella_kill_info",
    "info",
    "Where people reach the kill sidecar; dashboards build their links from it.",
    ("public_url",),
)
KILL_TARGET_INFO = Metric(
    "dumbella_kill_target_info",
    "info",
    "The targets that the kill sidecar serves; a target without this series has no kill link.",
    TARGET_LABELS,
)
KILL_DRY_RUN = Metric("dumbella_kill_dry_run", "gauge", "Whether the kill sidecar sends no kill at all.")
KILL_REQUESTS = Metric(
    "dumbella_kill_requests_total",
    "counter",
    "Requests to kill an execution by what came of them, counted once that is final; requests that join a kill in "
    "progress are not counted again.",
    ("target", "outcome"),
    values=tuple(outcome for outcome in get_args(KillOutcome) if outcome != "requested"),
)
KILL_AUTH = Metric(
    "dumbella_kill_auth_total",
    "counter",
    "Authentications by the provider that decided and how; none and absent where no credential was found.",
    ("provider", "result"),
    values=("success", "rejected", "unavailable", "absent"),
)
KILL_UPSTREAM_DURATION = Metric(
    "dumbella_kill_upstream_duration_seconds",
    "histogram",
    "Duration of the kill sidecar's requests to Cockpit, failed ones included.",
    ("target", "operation"),
    values=("applications", "executions", "jobs", "kill"),
)
KILL_CONFIRM_DURATION = Metric(
    "dumbella_kill_confirm_duration_seconds",
    "histogram",
    "Time from Cockpit's answer to a kill until the execution was gone from its list.",
    TARGET_LABELS,
)
KILL_IN_FLIGHT = Metric("dumbella_kill_in_flight", "gauge", "Kills that are being sent at the moment.")
KILL_AUDIT_WRITE_ERRORS = Metric(
    "dumbella_kill_audit_write_errors_total",
    "counter",
    "Audit records that could not be written; no kill is sent without its record.",
)

SIDECAR: tuple[Metric, ...] = (
    KILL_BUILD_INFO,
    KILL_INFO,
    KILL_TARGET_INFO,
    KILL_DRY_RUN,
    KILL_REQUESTS,
    KILL_AUTH,
    KILL_UPSTREAM_DURATION,
    KILL_CONFIRM_DURATION,
    KILL_IN_FLIGHT,
    KILL_AUDIT_WRITE_ERRORS,
)

#: The families of the client library about the process and the interpreter, which every exporter has.
RUNTIME_PREFIXES = ("process_", "python_")

SECTIONS: tuple[tuple[str, tuple[Metric, ...]], ...] = (
    ("Per target and application", (*TARGET, *APPLICATION_FACTS)),
    ("Per job and per execution", (*JOB_FACTS, *JOB_RUNNING, *EXECUTION)),
    ("Observed executions", (*JOB_OBSERVED, *JOB_EXPECTED, *APPLICATION_OBSERVED)),
    ("The exporter itself", EXPORTER),
    ("The kill sidecar", SIDECAR),
)


def metrics() -> Iterator[Metric]:
    """Yield every metric of the catalogue, in the order of the reference."""
    for _, section in SECTIONS:
        yield from section


def markdown() -> str:
    """Return the metric reference as Markdown tables."""
    lines = [_PREFACE]
    for title, section in SECTIONS:
        lines += ["", f"## {title}", "", "| name | type | labels | meaning | stability |", "|---|---|---|---|---|"]
        lines += [_row(metric) for metric in section]
    return "\n".join([*lines, "", _POSTSCRIPT])


_PREFACE = """\
# Metrics

Generated by `dumbella-exporter metrics`; edit `exporter/catalogue.py` instead.

A moment is in seconds since the Unix epoch. What Cockpit does not report is absent, neither 0 nor NaN; optional label
values are empty. Experimental metrics may change in a minor release, stable ones only in a major one."""

_POSTSCRIPT = f"""\
The families that start with {" and ".join(f"`{prefix}`" for prefix in RUNTIME_PREFIXES)} come from the client library \
and describe the exporter's process and its interpreter.
"""


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    if metric.values:
        labels += f" ({' '.join(f'`{value}`' for value in metric.values)})"
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} | {metric.stability} |"
