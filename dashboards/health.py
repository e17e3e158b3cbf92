"""Exporter and sidecar: can I trust what I see?"""

from __future__ import annotations

from dashboards import appearance
from dashboards.appearance import ANY_IS_BAD, ANY_IS_WORTH_A_LOOK, DATA_AGE
from dashboards.layout import Band, Dashboard, Heading
from dashboards.panels import Column, Query, stat, table, time_series
from dashboards.promql import APPLICATION, RANGE, SELECTED

SNAPSHOT = SELECTED.one(APPLICATION, "dumbella_snapshot_timestamp_seconds")
COLLECTORS = SELECTED.select("dumbella_collector_success")
KILLS = "dumbella_kill_requests_total"
NOT_CONFIRMED = SELECTED.one_increase(
    "target, outcome", KILLS, 'outcome=~"unconfirmed|unknown|unknown_gone"', over=RANGE
)
AUDIT_ERRORS = SELECTED.one_increase("instance", "dumbella_kill_audit_write_errors_total", over=RANGE)

TRUST = (
    stat(
        "Exporter",
        "Can every selected exporter be scraped? While it is down, nothing on any dashboard is current.",
        Query(SELECTED.exporter_up, "Exporter"),
        width=3,
        mappings=appearance.UP,
    ),
    stat(
        "Targets",
        "Did every read of each target succeed the last time? If two exporters read a target, the worse news counts.",
        Query(SELECTED.target_up, "{{target}}"),
        width=5,
        mappings=appearance.UP,
    ),
    stat(
        "Collectors failing",
        "Of how many lists (jobs, executions, results) did the last read fail? Zero only while a target is up.",
        Query(SELECTED.count(f"min by ({APPLICATION}, collector) ({COLLECTORS}) == 0")),
        width=4,
        steps=ANY_IS_BAD,
    ),
    stat(
        "Data age",
        "How old is the oldest of the data that is shown?",
        Query(f"time() - min({SNAPSHOT})"),
        width=4,
        unit="s",
        decimals=0,
        steps=DATA_AGE,
    ),
    stat(
        "Dropped",
        "How many listed jobs and executions have no series: unreadable, listed twice, or over a limit? Filtered ones "
        "are left out on purpose and not counted here.",
        Query(
            "sum({}) + sum({})".format(
                SELECTED.one(f"{APPLICATION}, reason", "dumbella_jobs_dropped", 'reason!="filter"'),
                SELECTED.one(f"{APPLICATION}, reason", "dumbella_executions_dropped"),
            )
        ),
        width=4,
        steps=ANY_IS_WORTH_A_LOOK,
    ),
    stat(
        "Configuration",
        "Was the configuration accepted when it was last loaded?",
        Query(f"min({SELECTED.select('dumbella_exporter_config_last_reload_successful')})"),
        width=4,
        mappings=appearance.ACCEPTED,
    ),
)

ALERTS = table(
    "Firing alerts",
    "Which of the project's alert rules fire? None does, or Prometheus has not loaded the rules, if there is no data.",
    # Alerts are about targets, about jobs or about the exporter itself: a label that is missing is no other target.
    'max by (alertname, severity, target, application, job_name) (ALERTS{alertname=~"Dumbella.*", '
    'alertstate="firing", target=~"$target|", application=~"$application|"})',
    columns=(
        Column("alertname", "Alert", min_width=220),
        Column("severity", "Severity", 90, mappings=appearance.ALERT_SEVERITY, coloured=True),
        Column("target", "Target", 95),
        Column("application", "Application", 95),
        Column("job_name", "Job", min_width=120),
    ),
    width=12,
    sort=("Alert", "ascending"),
)

AGE = time_series(
    "Snapshot age",
    "How old was the data shown of each application? It grows while reads fail, and ends when the data is dropped.",
    Query(f"time() - {SNAPSHOT}", "{{target}} {{application}}"),
    width=12,
    unit="s",
)

READS = (
    time_series(
        "Read duration",
        "How long does a read take, compared with how often targets are read and how long a read may take? One that "
        "takes longer than the interval makes the exporter skip the next.",
        Query(SELECTED.one("target", "dumbella_read_duration_seconds"), "{{target}}"),
        Query(f"min({SELECTED.select('dumbella_exporter_read_interval_seconds')})", "interval"),
        Query(f"min({SELECTED.select('dumbella_exporter_read_timeout_seconds')})", "timeout"),
        width=8,
        unit="s",
        dashed=("interval", "timeout"),
    ),
    time_series(
        "API failures by reason",
        "Which requests to Cockpit and Dumbella fail, and why?",
        Query(
            "sum by (target, endpoint, reason) ("
            + SELECTED.one_increase("target, endpoint, reason", "dumbella_exporter_api_request_failures_total")
            + ") > 0",
            "{{target}} {{endpoint}} {{reason}}",
        ),
        width=8,
        form="stacked bars",
    ),
    time_series(
        "Skipped reads",
        "How many reads were skipped because the one before had not ended?",
        Query(SELECTED.one_increase("target", "dumbella_exporter_read_overruns_total"), "{{target}}"),
        width=8,
        form="stacked bars",
    ),
)

CONTENT = (
    time_series(
        "Mapping errors and unknown values",
        "What did Cockpit send that could not be read, or that the profile does not know? Counted at each read.",
        Query(
            SELECTED.one_increase("target, field", "dumbella_exporter_mapping_errors_total") + " > 0",
            "{{target}} {{field}} unreadable",
        ),
        Query(
            SELECTED.one_increase("target, field", "dumbella_exporter_unknown_values_total") + " > 0",
            "{{target}} {{field}} unknown",
        ),
        width=8,
        form="stacked bars",
    ),
    time_series(
        "Dropped jobs and executions",
        "What is listed and has no series, and why?",
        Query(
            SELECTED.one(f"{APPLICATION}, reason", "dumbella_jobs_dropped") + " > 0",
            "{{target}} {{application}} jobs: {{reason}}",
        ),
        Query(
            SELECTED.one(f"{APPLICATION}, reason", "dumbella_executions_dropped") + " > 0",
            "{{target}} {{application}} executions: {{reason}}",
        ),
        width=8,
    ),
    time_series(
        "Series",
        "How many samples does a scrape of each exporter and sidecar bring?",
        Query(SELECTED.scrape("scrape_samples_scraped", 'job=~"dumbella-.*"'), "{{job}} {{instance}}"),
        width=8,
    ),
)

SIDECAR = (
    stat(
        "Sidecar",
        "Can the kill sidecar be scraped?",
        Query(SELECTED.sidecar_up, "Sidecar"),
        width=4,
        mappings=appearance.UP,
    ),
    stat(
        "Mode",
        "Does the sidecar kill, or does it only check and record (dry run)?",
        Query(f"max({SELECTED.select('dumbella_kill_dry_run')})"),
        width=8,
        mappings=appearance.MODE,
    ),
    stat(
        "Kills in flight",
        "How many kills are being sent at the moment?",
        Query(f"sum({SELECTED.one('instance', 'dumbella_kill_in_flight')})"),
        width=4,
    ),
    stat(
        "Audit write errors",
        "How many audit records could not be written in the selected range? No kill is sent without its record.",
        Query(SELECTED.while_sidecar_up(f"round(sum({AUDIT_ERRORS}))")),
        width=4,
        steps=ANY_IS_BAD,
    ),
    stat(
        "Kills not confirmed",
        "How many kills of the selected range were sent without being confirmed?",
        Query(SELECTED.while_sidecar_up(f"round(sum({NOT_CONFIRMED}))")),
        width=4,
        steps=ANY_IS_BAD,
    ),
)

SIDECAR_HISTORY = (
    time_series(
        "Kill requests by outcome",
        "What came of requests to kill?",
        Query(f"sum by (outcome) ({SELECTED.one_increase('target, outcome', KILLS)}) > 0", "{{outcome}}"),
        width=8,
        form="stacked bars",
    ),
    time_series(
        "Time to confirm",
        "How long does it take until a killed execution is gone from Cockpit's list (median and 95 %)?",
        *(
            Query(
                f"histogram_quantile({quantile}, sum by (target, le) ("
                + SELECTED.one_rate("target, instance, le", "dumbella_kill_confirm_duration_seconds_bucket")
                + "))",
                f"{{{{target}}}} {name}",
            )
            for quantile, name in ((0.5, "median"), (0.95, "95 %"))
        ),
        width=8,
        unit="s",
        form="points",
    ),
    time_series(
        "Authentication failures",
        "Who was not let in: which provider rejected, could not be asked, or found no credential?",
        Query(
            SELECTED.one_increase("provider, result", "dumbella_kill_auth_total", 'result!="success"') + " > 0",
            "{{provider}} {{result}}",
        ),
        width=8,
        form="stacked bars",
    ),
)

DASHBOARD = Dashboard(
    uid="dumbella-health",
    title="Exporter and sidecar",
    question="Can I trust what I see?",
    body=(
        Band(4, TRUST),
        Band(8, (ALERTS, AGE)),
        Band(8, READS),
        Band(8, CONTENT),
        Heading("Kill sidecar"),
        Band(4, SIDECAR),
        Band(8, SIDECAR_HISTORY),
    ),
)
