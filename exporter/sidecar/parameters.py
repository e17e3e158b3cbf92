"""What links, forms and API calls carry, checked by pattern before anything else is done with it."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass

from exporter.sidecar.subject import ID, Subject

#: Characters that a reason may have.
LONGEST_REASON = 500

_LINK = ("target", "application", "execution", "started", "from")
_FORM = (*_LINK, "job", "reason", "token")
_MILLISECONDS = re.compile(r"[0-9]{1,15}")
_JOB_ID = re.compile(r"|(?!\.{1,2}\Z)[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")
_MOST_FIELDS = 20


class BadParameters(Exception):
    """A query or form that no page of ours makes; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a link to the confirmation page carries.

    Attributes:
        target: the target's name.
        application: the application's code.
        execution: the execution's id.
        started: its start in seconds since the epoch; ``None`` for a waiting run.
        dashboard: the uid of the dashboard that the person came from; empty if none.
    """

    target: str
    application: str
    execution: str
    started: float | None
    dashboard: str

    @property
    def query(self) -> str:
        """The link's query."""
        return link_query(self.target, self.application, self.execution, self.started, self.dashboard)


@dataclass(frozen=True, slots=True)
class Form:
    """What the confirmation form carries.

    Attributes:
        link: the link by which the page was opened.
        subject: the run that was shown; its job's name is not in the form.
        reason: why, with white space folded.
        token: the page token.
    """

    link: Link
    subject: Subject
    reason: str
    token: str


def link_query(target: str, application: str, execution: str, started: float | None, dashboard: str = "") -> str:
    """Return the query of a link to the confirmation page."""
    milliseconds = "" if started is None else str(round(started * 1000))
    values = (target, application, execution, milliseconds, dashboard)
    return urllib.parse.urlencode(dict(zip(_LINK, values, strict=True)))


def read_link(query: str) -> Link:
    """Read the query of a link.

    Raises:
        BadParameters: it has other parameters than a link has, or one twice, or a value of another form.
    """
    return _link(_fields(query, _LINK))


def read_form(body: bytes) -> Form:
    """Read the confirmation form.

    Raises:
        BadParameters: it has other fields than ours, or one twice, or a value of another form.
    """
    try:
        text = body.decode("ascii")
    except UnicodeDecodeError:
        raise BadParameters("The form is not encoded as a form.") from None
    fields = _fields(text, _FORM)
    link = _link(fields)
    if _JOB_ID.fullmatch(fields["job"]) is None:
        raise BadParameters("The job is not an id.")
    subject = Subject(link.target, link.application, link.execution, fields["job"], "", link.started)
    return Form(link, subject, read_reason(fields["reason"]), fields["token"])


def read_reason(text: str) -> str:
    """Return a reason in one line.

    Raises:
        BadParameters: it is too long, or holds characters that no text has.
    """
    reason = " ".join(text.split())
    if len(reason) > LONGEST_REASON:
        raise BadParameters(f"The reason is longer than {LONGEST_REASON} characters.")
    if not reason.isprintable():
        raise BadParameters("The reason holds characters that cannot be shown.")
    return reason


def read_page(query: str, names: tuple[str, ...]) -> Mapping[str, str]:
    """Read the query of another page: ids, each at most once; what is absent is empty.

    Raises:
        BadParameters: it has other parameters, or one twice, or a value that is no id.
    """
    given = _fields(query, names, all_of_them=False)
    for name, value in given.items():
        if ID.fullmatch(value) is None:
            raise BadParameters(f"The parameter {name} is not an id.")
    return dict.fromkeys(names, "") | given


def _fields(text: str, names: tuple[str, ...], *, all_of_them: bool = True) -> dict[str, str]:
    try:
        pairs = urllib.parse.parse_qsl(
            text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS, separator="&"
        )
    except ValueError:
        raise BadParameters("The parameters cannot be read.") from None
    fields = dict(pairs)
    given = [name for name, _ in pairs]
    if len(fields) < len(given):
        raise BadParameters("A parameter is there twice.")
    unknown = sorted(set(given) - set(names))
    missing = sorted(set(names) - set(given)) if all_of_them else []
    if unknown or missing:
        raise BadParameters(f"Exactly these parameters are expected: {', '.join(names)}.")
    return fields


def _link(fields: Mapping[str, str]) -> Link:
    for name in ("target", "application", "execution"):
        if ID.fullmatch(fields[name]) is None:
            raise BadParameters(f"The parameter {name} is not an id.")
    if fields["from"] and ID.fullmatch(fields["from"]) is None:
        raise BadParameters("The parameter from is not the uid of a dashboard.")
    started = fields["started"]
    if started and _MILLISECONDS.fullmatch(started) is None:
        raise BadParameters("The parameter started is not a number of milliseconds.")
    return Link(
        target=fields["target"],
        application=fields["application"],
        execution=fields["execution"],
        started=int(started) / 1000 if started else None,
        dashboard=fields["from"],
    )
