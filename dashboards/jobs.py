"""Jobs: is anything wrong, and where? Cockpit's Jobs page, for every application at once."""

from __future__ import annotations

from dashboards import appearance
from dashboards.appearance import AMBER, ANY_IS_BAD, ANY_IS_WORTH_A_LOOK, PURPLE
from dashboards.layout import Annotation, Band, Dashboard
from dashboards.links import TO_JOB
from dashboards.panels import Column, Query, bar_gauge, stat, state_timeline, table, time_series
from dashboards.promql import APPLICATION, JOB, RANGE, RATE, SELECTED

#: How a job is called where several may have one name.
LEGEND = "{{job_name}} ({{target}} {{application}} {{job_id}})"

EXISTING = SELECTED.one(JOB, "dumbella_job_info")
FAILED = ("dumbella_job_executions_finished_total", 'outcome="error"')
FAILED_RUNS = f"round({SELECTED.one_increase(JOB, *FAILED, over=RANGE)})"

PUBLICATIONS = Annotation(
    "Publications",
    "When was a version published?",
    f"max by ({JOB}) (changes({SELECTED.select('dumbella_job_published_version')}[{RATE}])) > 0",
    title="Published: {{job_name}}",
    text="{{target}} {{application}} {{job_id}}",
    colour=AMBER,
)
KILLS = Annotation(
    "Kills",
    "When was a run killed through the sidecar?",
    SELECTED.one_increase("target", "dumbella_kill_requests_total", 'outcome="confirmed"') + " > 0",
    title="Killed through the sidecar",
    text="{{target}}",
    colour=PURPLE,
)

STATS = (
    stat(
        "Exporter",
        "Can every selected exporter be scraped? While it is down, nothing else here is current.",
        Query(SELECTED.exporter_up, "Exporter"),
        width=3,
        mappings=appearance.UP,
    ),
    stat(
        "Targets",
        "Did every read of each target succeed the last time? Down also means that only a part of it failed: the "
        "health dashboard tells which. If two exporters read a target, the worse news counts.",
        Query(SELECTED.target_up, "{{target}}"),
        width=5,
        mappings=appearance.UP,
    ),
    stat(
        "Jobs",
        "How many jobs does Cockpit list, before the exporter's filters and limits?",
        Query(f"sum({SELECTED.one(APPLICATION, 'dumbella_jobs')})"),
        width=3,
    ),
    stat(
        "Running",
        "How many executions are in progress? Dumbella lists none of services.",
        Query(SELECTED.running),
        width=3,
    ),
    stat(
        "In error",
        "How many jobs and services are in status ERROR? Zero only while a target is up.",
        Query(SELECTED.count(SELECTED.in_error)),
        width=3,
        steps=ANY_IS_BAD,
    ),
    stat(
        "Services not running",
        "How many services are neither started nor restarted? Zero only while a target is up.",
        Query(SELECTED.count(SELECTED.services_not_running)),
        width=4,
        steps=ANY_IS_WORTH_A_LOOK,
    ),
    stat(
        "Versions outdated",
        "Of how many jobs is the published version not the current one? Zero only while a target is up.",
        Query(SELECTED.count(SELECTED.versions_differ)),
        width=3,
        steps=ANY_IS_WORTH_A_LOOK,
    ),
)

JOBS = table(
    "All jobs",
    "Which jobs are there, and which need attention? Trouble comes first. Name leads to the job; Published version "
    "says where it is not the current one; Runs in range counts the runs seen to start in the selected time range.",
    SELECTED.one(f"{JOB}, job_type, execution_mode", "dumbella_job_info"),
    SELECTED.status(),
    SELECTED.versions,
    f"{SELECTED.one(JOB, 'dumbella_job_last_update_timestamp_seconds')} * 1000",
    SELECTED.one(JOB, "dumbella_job_running_executions"),
    # A job that is gone has no row, although it has a past.
    f"round({SELECTED.one_increase(JOB, 'dumbella_job_executions_started_total', over=RANGE)})"
    f" and on ({JOB}) {EXISTING}",
    SELECTED.one(f"{JOB}, error", "dumbella_job_error_info"),
    columns=(
        Column("job_name", "Name", min_width=160, link=TO_JOB),
        Column("application", "Application", 90),
        Column("job_type", "Type", 75, mappings=appearance.JOB_TYPE),
        Column("Value #B", "Status", 90, unit="none", mappings=appearance.STATUS, coloured=True),
        Column("execution_mode", "Execution", 95, mappings=appearance.EXECUTION_MODE),
        Column("current_version", "Current version", 105),
        Column(
            "published_version",
            "Published version",
            125,
            mappings=appearance.PUBLISHED_VERSION,
            coloured=True,
        ),
        Column("Value #D", "Last update", 105, unit="dateTimeFromNow"),
        Column("Value #E", "Running", 75, unit="none", decimals=0),
        Column("Value #F", "Runs in range", 100, unit="none", decimals=0),
        Column("error", "Error"),
        Column("target", "Target", 85),
        Column("job_id", "Id", 140),
    ),
    width=24,
    sort=("Status", "descending"),
)

TIMELINE = state_timeline(
    "Status over time",
    "When did which job have which status? The 30 jobs that changed in the selected range or are worst off at its end; "
    "narrow the selection to see others.",
    Query(
        f"{SELECTED.status()} and on ({JOB}) topk(30, {SELECTED.status(over=RANGE, at=' @ end()')} + on ({JOB}) 10 * ("
        + SELECTED.one_increase(JOB, "dumbella_job_status_changes_total", over=RANGE, at=" @ end()")
        + " > bool 0))",
        LEGEND,
    ),
    width=24,
    mappings=appearance.STATUS,
)

FAILURES = time_series(
    "Failures over time",
    "Which jobs failed, and when? The ten jobs with the most failed runs in the selected range.",
    Query(
        f"{SELECTED.one_increase(JOB, *FAILED)} and on ({JOB}) topk(10, "
        + SELECTED.one_increase(JOB, *FAILED, over=RANGE, at=" @ end()")
        + ")",
        LEGEND,
    ),
    width=14,
    form="stacked bars",
)
MOST_FAILURES = bar_gauge(
    "Failures per job",
    "Which jobs failed most in the selected range? The ten with the most failed runs, in order.",
    Query(
        # A job that is gone has its failures still, but no zero.
        f"sort_desc(topk(10, {FAILED_RUNS} > 0 or {FAILED_RUNS} and on ({JOB}) {EXISTING}))",
        LEGEND,
    ),
    width=10,
    steps=ANY_IS_BAD,
)

DASHBOARD = Dashboard(
    uid="dumbella-jobs",
    title="Jobs",
    question="Is anything wrong, and where?",
    body=(Band(4, STATS), Band(13, (JOBS,)), Band(11, (TIMELINE,)), Band(9, (FAILURES, MOST_FAILURES))),
    annotations=(PUBLICATIONS, KILLS),
)
