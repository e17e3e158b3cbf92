"""Job: is this job healthy compared with itself?"""

from __future__ import annotations

from dashboards import appearance
from dashboards.appearance import AGAINST_ALLOWED, AGAINST_USUAL, SUCCESS_RATIO, TIME_LEFT
from dashboards.layout import SELECTION, Annotation, Band, Dashboard, Variable
from dashboards.panels import Column, Query, stat, state_timeline, table, text, time_series
from dashboards.promql import APPLICATION, JOB, RANGE, RATE, THIS_JOB

LEGEND = "{{target}} {{application}} {{job_id}}"


def this(series: str) -> str:
    """Return a fact about the job, once, whoever reports it."""
    return THIS_JOB.one(JOB, series)


VARIABLES = (
    *SELECTION,
    Variable(
        "job_name",
        "Job name",
        "Name of a job. It stays when the job is deleted and uploaded again.",
        'label_values(dumbella_job_info{job=~"$job", instance=~"$instance", target=~"$target", '
        'application=~"$application"}, job_name)',
        several=False,
        offers_all=False,
    ),
    Variable(
        "job_id",
        "Job id",
        "Ids that jobs of this name have or had.",
        'label_values(dumbella_job_info{job=~"$job", instance=~"$instance", target=~"$target", '
        'application=~"$application", job_name=`${job_name:raw}`}, job_id)',
        several=False,
    ),
)

LAST = this("dumbella_job_last_execution_duration_seconds")
ALLOWED = this("dumbella_job_max_runtime_seconds")
USUAL = THIS_JOB.usual_duration
RUNNING_FOR = f"time() - {this('dumbella_job_oldest_running_execution_start_timestamp_seconds')}"
LAST_SUCCESS = this("dumbella_job_last_success_timestamp_seconds")
SUCCESS_INTERVAL = this("dumbella_job_success_interval_seconds")
#: A job that has never succeeded counts from when its executions were first observed.
COUNTED_FROM = (
    f"({LAST_SUCCESS} or on ({JOB}) {SUCCESS_INTERVAL} * 0 + on ({APPLICATION}) group_left () "
    + THIS_JOB.one(APPLICATION, "dumbella_observing_since_timestamp_seconds")
    + ")"
)

#: Runs whose end says something about the job; of unresolved ones nobody knows.
KNOWN = 'outcome=~"done|error|killed"'


def finished(*matchers: str, over: str = RANGE) -> str:
    """Return how many runs ended, by outcome, once, whoever counts them."""
    return THIS_JOB.one_increase(f"{JOB}, outcome", "dumbella_job_executions_finished_total", *matchers, over=over)


HEALTH = (
    stat(
        "Status",
        "What does Cockpit say about the job?",
        Query(THIS_JOB.status(), LEGEND),
        width=4,
        mappings=appearance.STATUS,
    ),
    stat(
        "Success ratio",
        "Which part of the runs that ended in the selected range was done, rather than failed or killed?",
        Query(
            "sum by ({0}) ({1}) / (sum by ({0}) ({2}) > 0)".format(JOB, finished('outcome="done"'), finished(KNOWN)),
            LEGEND,
        ),
        width=4,
        unit="percentunit",
        steps=SUCCESS_RATIO,
    ),
    stat(
        "Last run against usual",
        "How long did the last run take, compared with the average of those that ended in the selected range?",
        Query(f"{LAST} / {USUAL}", LEGEND),
        width=4,
        unit="percentunit",
        decimals=0,
        steps=AGAINST_USUAL,
    ),
    stat(
        "Running against usual",
        "For how long has the oldest run been in progress, compared with that average? No data if none is.",
        Query(f"({RUNNING_FOR}) / {USUAL}", LEGEND),
        width=4,
        unit="percentunit",
        decimals=0,
        steps=AGAINST_USUAL,
    ),
    stat(
        "Against what is allowed",
        "How near is the longest of the current and the last run to the runtime that the exporter's configuration "
        "allows (max_runtime)? No data without such an expectation.",
        Query(f"(({RUNNING_FOR}) > {LAST} or {LAST} or {RUNNING_FOR}) / {ALLOWED}", LEGEND),
        width=4,
        unit="percentunit",
        decimals=0,
        steps=AGAINST_ALLOWED,
    ),
    stat(
        "Next success due in",
        "How much time is left until the job is late (success_every)? Below zero it is. No data without such an "
        "expectation.",
        Query(f"{SUCCESS_INTERVAL} - (time() - {COUNTED_FROM})", LEGEND),
        width=4,
        unit="s",
        steps=TIME_LEFT,
    ),
)

FACTS = (
    stat(
        "Last success",
        "How long ago did a run last end well? No data if none has since observation began.",
        Query(f"time() - {LAST_SUCCESS}", LEGEND),
        width=4,
        unit="dtdhms",
    ),
    stat(
        "Durations",
        "How long did the last run take, how long do runs usually take (the average of the selected range), and how "
        "long may they (max_runtime)?",
        Query(LAST, "last"),
        Query(USUAL, "usual"),
        Query(ALLOWED, "allowed"),
        width=8,
        unit="s",
    ),
    stat(
        "Running now",
        "How many runs are in progress? Dumbella lists none of services.",
        Query(this("dumbella_job_running_executions"), LEGEND),
        width=4,
    ),
    stat(
        "Versions",
        "Which version is the current one, and which is published?",
        Query(this("dumbella_job_current_version"), "current"),
        Query(this("dumbella_job_published_version"), "published"),
        width=8,
    ),
)

FACT_SHEET = table(
    "Facts",
    "What does Cockpit's Jobs page show of this job?",
    THIS_JOB.one(f"{JOB}, job_type, execution_mode", "dumbella_job_info"),
    THIS_JOB.status(),
    THIS_JOB.versions,
    f"{this('dumbella_job_last_update_timestamp_seconds')} * 1000",
    f"{this('dumbella_job_service_start_timestamp_seconds')} * 1000",
    THIS_JOB.one(f"{JOB}, error", "dumbella_job_error_info"),
    columns=(
        Column("job_name", "Name", min_width=160),
        Column("job_type", "Type", 75, mappings=appearance.JOB_TYPE),
        Column("Value #B", "Status", 90, unit="none", mappings=appearance.STATUS, coloured=True),
        Column("execution_mode", "Execution", 95, mappings=appearance.EXECUTION_MODE),
        Column("current_version", "Current version", 105),
        Column("published_version", "Published version", 125, mappings=appearance.PUBLISHED_VERSION, coloured=True),
        Column("Value #D", "Last update", 165, unit="dateTimeAsIso"),
        Column("Value #E", "Service started", 165, unit="dateTimeAsIso"),
        Column("error", "Error", min_width=200),
        Column("target", "Target", 85),
        Column("application", "Application", 90),
        Column("job_id", "Id", 140),
    ),
    width=16,
    sort=("Status", "descending"),
    filterable=False,
)

URL = text(
    "Url",
    "Where is this job run from outside? Append the path to the address of Cockpit, or of Dumbella itself.",
    """Run and wait for the end, or run in the background (POST), on Cockpit or Pages:

```
/api/rest/application/${application:text}/services/jobs/${job_id:text}/run
/api/rest/application/${application:text}/services/jobs/${job_id:text}/run/async
```

On Dumbella itself:

```
/application/${application:text}/job/${job_id:text}/run
/application/${application:text}/job/${job_id:text}/run/async
```
""",
    width=8,
)

TIMELINE = state_timeline(
    "Status over time",
    "When did the job have which status?",
    Query(THIS_JOB.status(), LEGEND),
    width=24,
    mappings=appearance.STATUS,
)

RUNS = (
    time_series(
        "Runs by outcome",
        "How many runs ended, and how? Those shorter than the exporter's interval can be missed.",
        Query(f"sum by (outcome) ({finished(over=RATE)})", "{{outcome}}"),
        width=8,
        form="stacked bars",
        colours=appearance.OUTCOMES,
    ),
    time_series(
        "Duration",
        "How long did runs take, compared with what is usual (the average of the selected range) and allowed "
        "(max_runtime)?",
        Query(LAST, f"last {LEGEND}"),
        Query(USUAL, "usual"),
        Query(ALLOWED, "allowed"),
        width=8,
        unit="s",
        dashed=("usual", "allowed"),
    ),
    time_series(
        "Running executions",
        "How many runs were in progress at once?",
        Query(this("dumbella_job_running_executions"), LEGEND),
        width=8,
    ),
)

PUBLICATIONS = Annotation(
    "Publications",
    "When was a version of the job published?",
    f"max by ({JOB}) (changes({THIS_JOB.select('dumbella_job_published_version')}[{RATE}])) > 0",
    title="Published",
    text="{{target}} {{application}} {{job_id}}",
    colour=appearance.AMBER,
)

DASHBOARD = Dashboard(
    uid="dumbella-job",
    title="Job",
    question="Is this job healthy, compared with itself?",
    body=(Band(4, HEALTH), Band(4, FACTS), Band(6, (TIMELINE,)), Band(8, RUNS), Band(9, (FACT_SHEET, URL))),
    variables=VARIABLES,
    annotations=(PUBLICATIONS,),
    time_range="7d",
)
