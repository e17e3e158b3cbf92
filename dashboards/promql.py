"""What is asked of Prometheus, with the rules that every query keeps.

- Every selector has a matcher for each variable of the dashboard that its metric has a label for.
- Two exporters may read one target, and one exporter may be scraped twice: before anything is added up, each fact is
  reduced to one by ``max by``; ``dumbella_up`` by ``min``, because the worse news is the safer one.
- Empty is not healthy: there is a zero only while a target is up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dashboards import appearance
from exporter import catalogue

RATE = "$__rate_interval"
RANGE = "$__range"

SCRAPE_LABELS = ("job", "instance")
TARGET = "target"
APPLICATION = "target, application"
JOB = "target, application, job_id, job_name"
EXECUTION = f"{JOB}, execution_id"

_LABELS = {metric.name: (*SCRAPE_LABELS, *metric.labels) for metric in catalogue.metrics()}


def _labels(series: str) -> tuple[str, ...]:
    """Return the labels of a series, which may be one of a histogram or of a summary."""
    family = next(name for name in (series, series.rpartition("_")[0]) if name in _LABELS)
    return _LABELS[family]


@dataclass(frozen=True, slots=True)
class Scope:
    """What the variables of a dashboard select.

    Attributes:
        matchers: label → its matcher.
    """

    matchers: Mapping[str, str]

    def select(self, series: str, *more: str) -> str:
        """Return the selector of a series of the catalogue.

        Args:
            series: its name.
            more: matchers besides those of the variables.
        """
        labels = _labels(series)
        matchers = [matcher for label, matcher in self.matchers.items() if label in labels]
        return f"{series}{{{', '.join([*matchers, *more])}}}"

    def scrape(self, series: str, *more: str) -> str:
        """Return the selector of a series that Prometheus itself writes about a scrape."""
        return f"{series}{{{', '.join([*(self.matchers[label] for label in SCRAPE_LABELS), *more])}}}"

    def one(self, labels: str, series: str, *more: str) -> str:
        """Return a fact, once, whoever reports it."""
        return f"max by ({labels}) ({self.select(series, *more)})"

    def one_increase(self, labels: str, series: str, *more: str, over: str = RATE, at: str = "") -> str:
        """Return by how much a counter grew, once, whoever counts it."""
        return f"max by ({labels}) (increase({self.select(series, *more)}[{over}]{at}))"

    def one_rate(self, labels: str, series: str, *more: str) -> str:
        """Return how fast a counter grows per second, once, whoever counts it."""
        return f"max by ({labels}) (rate({self.select(series, *more)}[{RATE}]))"

    @property
    def target_up(self) -> str:
        """Whether each target is up: 1 or 0, absent where nobody tells."""
        return f"min by (target) ({self.select('dumbella_up')})"

    @property
    def zero_while_up(self) -> str:
        """Zero while a target is up, else nothing."""
        return f"0 * count({self.target_up} == 1)"

    def count(self, found: str) -> str:
        """Return how many elements there are; zero only while a target is up."""
        return f"count({found}) or {self.zero_while_up}"

    def while_sidecar_up(self, counted: str) -> str:
        """Return what was counted in a range; zero only while the sidecar is up, whose past is no news."""
        return f"{counted} > 0 or {counted} and on () ({self.sidecar_up} == 1)"

    def status(self, over: str = "", at: str = "") -> str:
        """Return the severity of each job's status, as ``appearance.STATUSES`` has it.

        Args:
            over: take the last known status of this range, for jobs that have none any more.
            at: a modifier that fixes the moment.
        """

        def reported(status: appearance.Status) -> str:
            selected = self.select("dumbella_job_status", f'status="{status.name}"')
            if over:
                return f"last_over_time({selected}[{over}]{at})"
            return selected

        ranks = (f"(({reported(status)} == 1) * {status.severity})" for status in appearance.STATUSES)
        return f"max by ({JOB}) ({' or '.join(ranks)})"

    @property
    def in_error(self) -> str:
        """The jobs in status ERROR."""
        return self.one(JOB, "dumbella_job_status", 'status="ERROR"') + " == 1"

    @property
    def services_not_running(self) -> str:
        """The services that are neither started nor restarted."""
        running = self.one(JOB, "dumbella_job_status", 'status=~"STARTED|RESTARTED"')
        service = self.one(JOB, "dumbella_job_info", 'job_type="SERVICE"')
        return f"{running} == 0 and {service}"

    @property
    def versions_differ(self) -> str:
        """The jobs whose published version is not the current one."""
        current = self.one(JOB, "dumbella_job_current_version")
        return f"{current} != {self.one(JOB, 'dumbella_job_published_version')}"

    @property
    def versions(self) -> str:
        """The versions of each job as labels, a published one that is not the current one marked."""
        versions = self.one(f"{JOB}, current_version, published_version", "dumbella_job_version_info")
        marked = f'"published_version", "$1 {appearance.NOT_CURRENT}", "published_version", "(.+)"'
        match = f"on ({JOB}) ({self.versions_differ})"
        return f"label_replace({versions} and {match}, {marked}) or ({versions} unless {match})"

    @property
    def running(self) -> str:
        """How many executions are in progress; zero only while a target is up."""
        return f"sum({self.one(JOB, 'dumbella_job_running_executions')}) > 0 or {self.zero_while_up}"

    @property
    def execution_start(self) -> str:
        """When each execution in progress started."""
        return self.one(EXECUTION, "dumbella_execution_start_timestamp_seconds")

    @property
    def usual_duration(self) -> str:
        """How long a job's executions took in the selected range, on average."""
        family = "dumbella_job_execution_duration_seconds"
        total, count = (f"increase({self.select(f'{family}_{part}')}[{RANGE}])" for part in ("sum", "count"))
        return f"max by ({JOB}) ({total} / ({count} > 0))"

    @property
    def exporter_up(self) -> str:
        """Whether every selected exporter can be scraped."""
        return "min(" + self.scrape("up", 'job=~"dumbella-exporter.*"') + ")"

    @property
    def sidecar_up(self) -> str:
        """Whether every selected sidecar can be scraped."""
        return "min(" + self.scrape("up", 'job=~"dumbella-sidecar.*"') + ")"


_EVERY = {label: f'{label}=~"${label}"' for label in ("job", "instance", "target", "application")}

#: Everything that is selected.
SELECTED = Scope(_EVERY)
#: One job. Its name may hold any character, so it is compared as it is, between backticks.
THIS_JOB = Scope({**_EVERY, "job_name": "job_name=`${job_name:raw}`", "job_id": 'job_id=~"$job_id"'})
