"""Job Manager: what runs, what hangs, kill it. Cockpit's Job Manager, with a history."""

from __future__ import annotations

from dashboards import appearance
from dashboards.appearance import ANY_IS_BAD, DATA_AGE, RUNNING_FOR, RUNNING_FOR_CELL
from dashboards.jobs import KILLS
from dashboards.layout import KILL_ADDRESS, SELECTION, Band, Dashboard
from dashboards.links import KILL, TO_JOB
from dashboards.panels import Column, Query, bar_gauge, stat, table, time_series
from dashboards.promql import APPLICATION, JOB, RANGE, SELECTED

OLDEST = SELECTED.one(JOB, "dumbella_job_oldest_running_execution_start_timestamp_seconds")
SNAPSHOT = SELECTED.one(APPLICATION, "dumbella_snapshot_timestamp_seconds")
ALLOWED = SELECTED.one(JOB, "dumbella_job_max_runtime_seconds")
SERVED = SELECTED.one("target", "dumbella_kill_target_info")

OVERDUE = (
    f"count(time() - {SELECTED.execution_start} > on ({JOB}) group_left () {ALLOWED})"
    # Without an expectation nothing can be late, and nothing is on time either.
    f" or 0 * count({ALLOWED} and on (target) {SELECTED.target_up} == 1)"
)

STATS = (
    stat(
        "Running",
        "How many executions are in progress? Dumbella lists none of services. Zero only while a target is up.",
        Query(SELECTED.running),
        width=4,
    ),
    stat(
        "Longest running",
        "For how long has the oldest execution been in progress? Zero if none is, while a target is up.",
        Query(f"time() - min({OLDEST}) or {SELECTED.zero_while_up}"),
        width=5,
        unit="dtdhms",
        steps=RUNNING_FOR,
    ),
    stat(
        "Past expected runtime",
        "How many executions run for longer than the exporter's configuration expects (max_runtime)? No data without "
        "such an expectation.",
        Query(OVERDUE),
        width=5,
        steps=ANY_IS_BAD,
    ),
    stat(
        "Sidecar",
        "Can the kill sidecar be scraped? While it is down, no row has a kill link.",
        Query(SELECTED.sidecar_up, "Sidecar"),
        width=3,
        mappings=appearance.UP,
    ),
    stat(
        "Data updated at",
        "When was the oldest of the data shown here read from Cockpit?",
        Query(f"min({SNAPSHOT}) * 1000"),
        width=4,
        unit="dateTimeAsIso",
    ),
    stat(
        "Data age",
        "How old is the oldest of the data shown here?",
        Query(f"time() - min({SNAPSHOT})"),
        width=3,
        unit="s",
        steps=DATA_AGE,
        decimals=0,
    ),
)

EXECUTIONS = table(
    "Running executions",
    "What runs, and what hangs? The longest running come first. Kill opens the sidecar's page for exactly that run, "
    "which asks once more; it is missing where no sidecar serves the target. Started is the start in milliseconds, "
    "which the link takes along.",
    f"{SELECTED.execution_start} * 1000",
    f"time() - {SELECTED.execution_start}",
    f"label_replace({SELECTED.execution_start} * 1000 and on (target) {SERVED},"
    ' "kill", "Kill", "execution_id", "(.+)")',
    columns=(
        Column("Value #A", "Start date", 165, unit="dateTimeAsIso"),
        Column("job_name", "Name", min_width=160, link=TO_JOB),
        Column("job_id", "Id", 140),
        Column("execution_id", "Execution", 300),
        Column("Value #B", "Running for", 110, unit="dtdhms", coloured=True, steps=RUNNING_FOR_CELL),
        Column("kill", "Kill", 60, link=KILL, link_only=True),
        Column("application", "Application", 95),
        Column("target", "Target", 95),
        Column("Value #C", "Started", 130, unit="none", decimals=0),
    ),
    width=24,
    sort=("Running for", "descending"),
)

STARTED = SELECTED.one_rate(JOB, "dumbella_job_executions_started_total")
FINISHED = SELECTED.one_rate(f"{JOB}, outcome", "dumbella_job_executions_finished_total")
KILLED = SELECTED.one_increase("target, outcome", "dumbella_kill_requests_total", over=RANGE)
KILL_OUTCOMES = f"round(sum by (outcome) ({KILLED}))"

DASHBOARD = Dashboard(
    uid="dumbella-job-manager",
    title="Job Manager",
    question="What runs, what hangs, and how is it killed?",
    body=(
        Band(4, STATS),
        Band(13, (EXECUTIONS,)),
        Band(
            9,
            (
                time_series(
                    "Concurrency",
                    "How many executions were in progress at once, per application?",
                    Query(
                        f"sum by ({APPLICATION}) ({SELECTED.one(JOB, 'dumbella_job_running_executions')})",
                        "{{target}} {{application}}",
                    ),
                    width=8,
                ),
                time_series(
                    "Started and finished per minute",
                    "How many executions start and end, and how do they end? Those shorter than the exporter's "
                    "interval can be missed.",
                    Query(f"60 * sum({STARTED})", "started"),
                    Query(f"60 * sum by (outcome) ({FINISHED})", "{{outcome}}"),
                    width=9,
                    colours=appearance.OUTCOMES,
                ),
                bar_gauge(
                    "Recent kill outcomes",
                    "What came of the kills that were asked for in the selected range?",
                    Query(SELECTED.while_sidecar_up(KILL_OUTCOMES), "{{outcome}}"),
                    width=7,
                ),
            ),
        ),
    ),
    variables=(*SELECTION, KILL_ADDRESS),
    annotations=(KILLS,),
    time_range="1h",
)
