"""Ask a target once what the exporter asks it all the time, and keep everything that was learnt on the way.

``report`` turns these facts into text for people.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from exporter.cockpit.answers import Result
from exporter.cockpit.client import AskedEndpoint, CockpitClient, Inspection
from exporter.cockpit.errors import ClientError, CockpitError, SchemaMismatch
from exporter.cockpit.explanation import Explanation, explain
from exporter.cockpit.fetch import address
from exporter.cockpit.keys import RowKind
from exporter.cockpit.mapping import ExecutionMapper, JobMapper, Reading
from exporter.config import Target
from exporter.config.profiles import Profile
from exporter.model import Execution, Job, Row

#: Asked for where no execution is running: Dumbella does not know it, but says so.
UNKNOWN_EXECUTION = "00000000-0000-0000-0000-000000000000"

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Asked(Generic[Answer]):
    """One question and what became of it.

    Attributes:
        endpoint: what was asked.
        url: where; it holds no credential.
        seconds: how long it took.
        answer: what was answered; ``None`` if nothing usable was.
        failure: why not, ``None`` if there was an answer.
    """

    endpoint: AskedEndpoint
    url: str
    seconds: float
    answer: Answer | None = None
    failure: CockpitError | None = None


@dataclass(frozen=True, slots=True)
class Understanding(Generic[Row]):
    """What a list says, under the target's profile.

    Attributes:
        inspection: the answer as it came; of a paged list the first page.
        explanation: which keys of its rows supplied which facts.
        unknown: (field, value) → in how many rows the profile did not know the value.
        dropped: for each row that yields no fact of its own, its position from 1 and why.
        facts: what was understood, each identity once; of a paged list from all pages.
    """

    inspection: Inspection
    explanation: Explanation
    unknown: Mapping[tuple[str, str], int]
    dropped: Sequence[tuple[int, str]]
    facts: Sequence[Row]


@dataclass(slots=True)
class Inquiry:
    """Everything that one target answered.

    Attributes:
        target: whom was asked.
        version: about the release, where the profile has a path for it.
        applications: which applications there are, where the target's are to be discovered.
        jobs: the list of jobs of each application.
        executions: the list of running executions of each application, where the installation has one.
        result: how an execution ended, where the target has a results address.
    """

    target: Target
    version: Asked[dict[str, str]] | None = None
    applications: Asked[tuple[str, ...]] | None = None
    jobs: dict[str, Asked[Understanding[Job]]] = field(default_factory=dict)
    executions: dict[str, Asked[Understanding[Execution]]] = field(default_factory=dict)
    result: Asked[Result] | None = None

    @property
    def failed(self) -> bool:
        """Whether any question went without a usable answer."""
        asked = (self.version, self.applications, self.result, *self.jobs.values(), *self.executions.values())
        return any(question is not None and question.failure is not None for question in asked)


async def inquire(target: Target, profile: Profile, client: CockpitClient, seconds: float) -> Inquiry:
    """Ask a target everything, one question after the other.

    Args:
        target: whom to ask.
        profile: its profile, resolved.
        client: its client.
        seconds: how long each answer may take.
    """
    asking = _Asking(target, profile, client, seconds)
    inquiry = Inquiry(target)
    if profile.paths.version is not None:
        inquiry.version = await asking.ask("version", client.version)
    codes: Sequence[str] = ()
    if target.applications == "discover":
        inquiry.applications = await asking.ask("applications", client.applications)
        codes = inquiry.applications.answer or ()
    else:
        codes = target.applications
    for code in codes:
        inquiry.jobs[code] = await asking.jobs(code)
        if profile.executions == "supported":
            inquiry.executions[code] = await asking.executions(code)
    if target.results is not None:
        inquiry.result = await asking.result(_any_execution(inquiry))
    return inquiry


def _any_execution(inquiry: Inquiry) -> str:
    listed = [asked.answer.facts for asked in inquiry.executions.values() if asked.answer is not None]
    return next((execution.id for facts in listed for execution in facts), UNKNOWN_EXECUTION)


@dataclass(frozen=True, slots=True)
class _Asking:
    target: Target
    profile: Profile
    client: CockpitClient
    seconds: float

    async def ask(
        self,
        endpoint: AskedEndpoint,
        question: Callable[[float], Awaitable[Answer]],
        *,
        base: str | None = None,
        **values: str,
    ) -> Asked[Answer]:
        """Ask one question with a deadline of its own and time it."""
        clock = asyncio.get_running_loop().time
        started = clock()
        url = ""
        try:
            path = getattr(self.profile.paths, "result" if endpoint == "results" else endpoint) or ""
            url = str(address(base or self.target.url, path, **values))
            answer = await question(started + self.seconds)
        except CockpitError as failure:
            return Asked(endpoint, url, clock() - started, failure=failure)
        except RecursionError:
            deep = SchemaMismatch("the rows are nested too deeply")
            return Asked(endpoint, url, clock() - started, failure=deep)
        return Asked(endpoint, url, clock() - started, answer)

    async def jobs(self, application: str) -> Asked[Understanding[Job]]:
        async def question(deadline: float) -> Understanding[Job]:
            inspection = await self.client.inspect("jobs", deadline, application)
            mapper = JobMapper(application, self.profile, target=self.target.name)
            facts, unknown, dropped = _read(inspection.rows, mapper.read, lambda job: job.id)
            if _is_partial(inspection):
                facts = (await self.client.jobs(application, deadline)).rows
            explanation = _explained(inspection, self.profile, "job")
            return Understanding(inspection, explanation, unknown, dropped, facts)

        return await self.ask("jobs", question, application=application)

    async def executions(self, application: str) -> Asked[Understanding[Execution]]:
        async def question(deadline: float) -> Understanding[Execution]:
            inspection = await self.client.inspect("executions", deadline, application)
            mapper = ExecutionMapper(application, self.profile)
            facts, unknown, dropped = _read(inspection.rows, mapper.read, lambda run: (run.job_id, run.id))
            if _is_partial(inspection):
                facts = (await self.client.executions(application, deadline)).rows
            explanation = _explained(inspection, self.profile, "execution")
            return Understanding(inspection, explanation, unknown, dropped, facts)

        return await self.ask("executions", question, application=application)

    async def result(self, execution_id: str) -> Asked[Result]:
        def question(deadline: float) -> Awaitable[Result]:
            return self.client.result(execution_id, deadline)

        base = None if self.target.results is None else self.target.results.url
        asked = await self.ask("results", question, base=base, id=execution_id)
        result = asked.answer
        if result is None or result.outcome != "unresolved" or execution_id == UNKNOWN_EXECUTION:
            return asked
        # Outcomes of executions that Dumbella does not know are given up at once: every single one would be.
        failure = ClientError(f"an execution that is listed as running has no result here: {result.detail}")
        return replace(asked, answer=None, failure=failure)


def _explained(inspection: Inspection, profile: Profile, kind: RowKind) -> Explanation:
    """Explain the rows; a key that the profile knows is no news where it is empty or another one came first."""
    explanation = explain(inspection.rows, profile, kind)
    fields: Mapping[Any, Sequence[str]] = profile.fields.job if kind == "job" else profile.fields.execution
    known = {key.partition("|")[0] for keys in fields.values() for key in keys}
    return replace(explanation, unused={key: rows for key, rows in explanation.unused.items() if key not in known})


def _is_partial(inspection: Inspection) -> bool:
    return inspection.page is not None and not inspection.page.last


def _read(
    rows: Sequence[Any], read: Callable[[dict[str, Any]], Reading[Row]], identity: Callable[[Row], Hashable]
) -> tuple[Sequence[Row], Mapping[tuple[str, str], int], Sequence[tuple[int, str]]]:
    """Return the facts in ``rows``, the values that the profile does not know, and the rows that yield no fact."""
    facts: dict[Hashable, Row] = {}
    unknown: Counter[tuple[str, str]] = Counter()
    dropped = []
    for position, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            dropped.append((position, "it is no object"))
            continue
        reading = read(row)
        if reading.flaws is not None:
            unknown.update(reading.flaws.unknown)
        if reading.fact is None:
            dropped.append((position, f"unreadable: {', '.join(reading.flaws.unreadable if reading.flaws else ())}"))
        elif identity(reading.fact) in facts:
            dropped.append((position, "an earlier row has the same id"))
        else:
            facts[identity(reading.fact)] = reading.fact
    return tuple(facts.values()), unknown, dropped
