"""Whatever an upstream sends, what comes out is an exposition that parses."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.cockpit.bodies import decode
from exporter.cockpit.envelopes import unwrap
from exporter.cockpit.errors import CockpitError
from exporter.cockpit.mapping import ExecutionMapper, JobMapper
from exporter.config import Config, Target
from exporter.config.profiles import EXECUTION_FIELDS, JOB_FIELDS, ListEndpoint, resolve
from exporter.exposition import FORMATS, Format
from exporter.model import Execution, Job, Listing
from exporter.observe import State, observe
from exporter.snapshot import ApplicationRead, Assembler, attribute
from tests.views import page_of

PROFILE = resolve("cockpit", {})
PARSERS: dict[Format, Any] = {"text": parse_text, "openmetrics": parse_openmetrics}

ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(["JOB", "SERVICE", "ERROR", "STARTED", "enabled", "2026-11-20T10:00:00Z", 1_763_900_000_000]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
    max_leaves=8,
)
_ALIASES = sorted(
    {
        key.partition("|")[0].partition(".")[0]
        for keys in (*PROFILE.fields.job.values(), *PROFILE.fields.execution.values())
        for key in keys
    }
)
#: Objects that have the keys which the mapping looks for, with anything as their values; often enough with a usable id.
ROWS = st.dictionaries(st.sampled_from(_ALIASES), ANY, max_size=10) | st.builds(
    lambda row, number: {**row, "id": number, "name": "load_orders_0.1", "executionId": str(number)},
    st.dictionaries(st.sampled_from(_ALIASES), ANY, max_size=10),
    st.integers(0, 3),
)
LISTS = st.lists(ROWS | ANY, max_size=5)
DOCUMENTS = (
    LISTS
    | st.builds(lambda rows: {"content": rows}, LISTS)
    | st.builds(lambda rows: {"_embedded": {"jobs": rows}}, LISTS)
    | st.dictionaries(st.integers(0, 10**14).map(str), ROWS, max_size=4)
    | ANY
)


def test_the_fields_are_those_that_the_mapping_looks_for() -> None:
    """Every canonical field has keys, so that the rows made here reach all of them."""
    assert set(JOB_FIELDS) == set(PROFILE.fields.job)
    assert set(EXECUTION_FIELDS) == set(PROFILE.fields.execution)


def rows_of(document: Any, endpoint: ListEndpoint) -> list[Any] | None:
    """Return the rows of an answer as the client finds them, ``None`` for one that it refuses."""
    body = json.dumps(document).encode()
    with contextlib.suppress(CockpitError):
        return unwrap(decode(body, str), endpoint).rows
    return None


@pytest.mark.parametrize("format_", FORMATS)
@settings(deadline=None, max_examples=200)
@given(reads=st.lists(st.tuples(DOCUMENTS, DOCUMENTS), min_size=1, max_size=3))
def test_any_json_yields_an_exposition_that_parses(format_: Format, reads: list[tuple[Any, Any]]) -> None:
    """Several reads in a row of anything at all raise nothing, and each is shown in a page that parses."""
    target = Target(name="production", url="https://apps.example.com/cockpit", applications=("K7SALES",))
    assembler = Assembler(Config(targets=(target,)), target)
    job_mapper, execution_mapper = JobMapper("K7SALES", PROFILE), ExecutionMapper("K7SALES", PROFILE)
    state = State()
    for moment, (job_document, execution_document) in enumerate(reads):
        job_rows, execution_rows = rows_of(job_document, "jobs"), rows_of(execution_document, "executions")
        jobs: Listing[Job] | None = None if job_rows is None else job_mapper.map(job_rows)
        executions: Listing[Execution] | None = None
        if execution_rows is not None:
            executions = attribute(execution_mapper.map(execution_rows), jobs)
        state, _ = observe(state, jobs=jobs, executions=executions, now=1e9 + moment, stale_after=60, has_results=False)
        read = ApplicationRead(
            "K7SALES",
            jobs=jobs,
            read_at=1e9,
            executions=executions,
            collector_success={"jobs": jobs is not None, "executions": executions is not None},
            histories=state.histories,
            observing_since=state.since,
            durations=state.durations,
        )
        page = page_of(assembler.assemble([read], up=True, read_duration=0.1), format_)
        text = page.plain.join().decode()
        shown = {
            sample.labels["job_id"]
            for family in PARSERS[format_](text)
            for sample in family.samples
            if sample.name == "dumbella_job_info"
        }
        assert shown == ({job.id for job in jobs.rows} if jobs is not None else set())
