"""What ``check --online`` tells a person at a terminal: plain text, aligned, nothing that could move the cursor."""

from __future__ import annotations

import datetime as dt
import fnmatch
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from exporter.check.inquiry import UNKNOWN_EXECUTION, Asked, Inquiry, Understanding
from exporter.cockpit.explanation import Explanation
from exporter.config import Config, Expectation
from exporter.config.units import format_duration
from exporter.model import Execution, Job

#: A job by target, application and name.
_Named = tuple[str, str, str]

_MOST_NAMED = 8
_MOST_DROPPED = 5
_LONGEST_TEXT = 100
_MOMENTS = {"last_update", "started_at"}


def about_target(inquiry: Inquiry) -> str:
    """Return what one target answered, endpoint by endpoint."""
    target = inquiry.target
    lines = [f"target {target.name}: {target.url}, profile {target.profile}"]
    if inquiry.version is not None:
        lines += _indented(_about_version(inquiry.version))
    if inquiry.applications is not None:
        lines += _indented(_about_applications(inquiry.applications))
    for code, jobs in inquiry.jobs.items():
        lines += ["", f"  application {code}"]
        lines += _indented(_about_list(jobs), depth=2)
        if code in inquiry.executions:
            lines += _indented(_about_list(inquiry.executions[code]), depth=2)
        else:
            lines += _indented(["executions: not asked, the profile says executions: unsupported"], depth=2)
    if inquiry.result is not None:
        lines += ["", *_indented(_about_result(inquiry.result))]
    return "".join(f"{printable(line)}\n" for line in lines)


def about_expectations(config: Config, inquiries: Sequence[Inquiry]) -> str:
    """Return which jobs match which expectation, and which expectation matches none."""
    if not config.expectations:
        return ""
    jobs = [(inquiry.target.name, job.application, job.name) for inquiry in inquiries for job in _jobs_of(inquiry)]
    holding = [config.expectation(*job) for job in jobs]
    lines = ["expectations"]
    for position, rule in enumerate(config.expectations):
        # By identity: two expectations may be equal, and only the first one ever holds.
        own = [job for job, held in zip(jobs, holding, strict=True) if held is rule]
        lines.append(f"  expectations[{position}] {_rule(rule)}")
        lines += _indented(_about_matches(rule, own, jobs), depth=2)
    lines.append(f"  {_number(holding.count(None), 'job')} without an expectation")
    failed = [inquiry.target.name for inquiry in inquiries if inquiry.failed]
    if failed:
        lines.append(f"  jobs that could not be read are not among these: see {', '.join(failed)}")
    return "".join(f"{printable(line)}\n" for line in lines)


def _about_matches(rule: Expectation, own: Sequence[_Named], jobs: Sequence[_Named]) -> Iterator[str]:
    if own:
        names = list(dict.fromkeys("/".join(job) for job in own))
        yield f"{_number(len(own), 'job')}:"
        yield from _indented(names[:_MOST_NAMED])
        if len(names) > _MOST_NAMED:
            yield f"  and {len(names) - _MOST_NAMED} more"
    elif any(all(map(fnmatch.fnmatchcase, job, (rule.target, rule.application, rule.job))) for job in jobs):
        yield "holds for no job: earlier expectations match all of its jobs"
    else:
        yield "matches no job"


def printable(text: str) -> str:
    """Return ``text`` with every character escaped that a terminal would act on instead of showing it."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of cells as lines with aligned columns, two spaces apart."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _indented(lines: Iterable[str], depth: int = 1) -> list[str]:
    return [f"{'  ' * depth}{line}" for line in lines]


def _about_version(asked: Asked[dict[str, str]]) -> Iterator[str]:
    yield from _about_question(asked)
    if asked.answer is not None:
        yield f"  {', '.join(f'{key} {value}' for key, value in asked.answer.items()) or 'nothing'}"


def _about_applications(asked: Asked[tuple[str, ...]]) -> Iterator[str]:
    yield from _about_question(asked)
    if asked.answer is not None:
        yield f"  {_number(len(asked.answer), 'application')}: {', '.join(asked.answer)}"


def _about_result(asked: Asked[Any]) -> Iterator[str]:
    yield from _about_question(asked)
    if asked.answer is None:
        return
    if UNKNOWN_EXECUTION in asked.url:
        yield "  reached; nothing is running, so an execution that does not exist was asked for"
    detail = f" ({asked.answer.detail})" if asked.answer.detail else ""
    yield f"  outcome: {asked.answer.outcome}{detail}"


def _about_question(asked: Asked[Any]) -> Iterator[str]:
    """Say what was asked, where and how long it took, and why it failed if it did."""
    yield f"{asked.endpoint}: GET {asked.url} ({asked.seconds * 1000:.0f} ms)"
    if asked.failure is not None:
        yield f"  FAILED: {asked.failure.reason}: {asked.failure.detail}"
        yield f"  remedy: {asked.failure.remedy}"


def _about_list(asked: Asked[Understanding[Job]] | Asked[Understanding[Execution]]) -> Iterator[str]:
    yield from _about_question(asked)
    if asked.answer is not None:
        yield from _indented(_about_understanding(asked.answer))


def _about_understanding(understood: Understanding[Any]) -> Iterator[str]:
    inspection = understood.inspection
    yield f"answer: {inspection.status}, {inspection.content_type or 'no content type'}, {inspection.size} bytes"
    page = inspection.page
    paged = "" if page is None or page.last else f", the first of {page.total_pages or 'several'} pages"
    yield f"rows: {len(inspection.rows)} in envelope {inspection.envelope}{paged}"
    if paged:
        yield f"all pages: {_number(len(understood.facts), 'row')} understood"
    if inspection.rows:
        yield from _about_fields(understood.explanation)
    for (name, value), count in understood.unknown.items():
        seen = f"{name} {value[:_LONGEST_TEXT]!r} in {_number(count, 'row')}"
        yield f"unknown value: {seen}; say in the profile's values.{name} what it means"
    yield from _about_dropped(understood.dropped)
    if understood.facts:
        yield f"understood as: {_fact(understood.facts[0])}"


def _about_fields(explanation: Explanation) -> Iterator[str]:
    whole = explanation.rows - explanation.not_objects
    rows = [("field", "from", "missing", "unreadable", "example")]
    for use in explanation.fields:
        keys = ", ".join(f"{key} ({count} of {whole})" for key, count in use.keys.items())
        rows.append((use.field, keys or "-", str(use.missing), str(use.unreadable), use.example))
    yield from _indented(table(rows))
    lacking = [use.field for use in explanation.fields if not use.keys]
    if lacking:
        yield f"fields that no key supplied: {', '.join(lacking)}"
    if explanation.unused:
        unused = [f"{key} ({count} of {whole})" for key, count in explanation.unused.items()]
        yield f"keys that nobody used: {', '.join(unused)}"


def _about_dropped(dropped: Sequence[tuple[int, str]]) -> Iterator[str]:
    for position, why in dropped[:_MOST_DROPPED]:
        yield f"dropped: row {position}, {why}"
    if len(dropped) > _MOST_DROPPED:
        for why, count in Counter(why for _, why in dropped[_MOST_DROPPED:]).items():
            yield f"dropped: {_number(count, 'more row')}, {why}"


def _fact(fact: Job | Execution) -> str:
    facts = asdict(fact)
    # The heading tells it.
    del facts["application"]
    shown = {name: _moment(value) if name in _MOMENTS else value for name, value in facts.items()}
    return ", ".join(f"{name} {_short(str(value))}" for name, value in shown.items() if value not in ("", None))


def _moment(value: float | None) -> str | None:
    if value is None:
        return None
    try:
        return dt.datetime.fromtimestamp(value, dt.UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        return f"{value:.0f} s after 1970"


def _short(text: str) -> str:
    folded = " ".join(text.split())
    return folded if len(folded) <= _LONGEST_TEXT else f"{folded[:_LONGEST_TEXT]}..."


def _jobs_of(inquiry: Inquiry) -> Iterator[Job]:
    for asked in inquiry.jobs.values():
        if asked.answer is not None:
            yield from asked.answer.facts


def _rule(rule: Expectation) -> str:
    expected: Mapping[str, float | None] = {"max_runtime": rule.max_runtime, "success_every": rule.success_every}
    durations = [f"{key} {format_duration(value)}" for key, value in expected.items() if value is not None]
    return f"(target {rule.target}, application {rule.application}, job {rule.job}): {', '.join(durations)}"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
