"""What is legal in the section ``kill`` but unwise: what would be noticed only when somebody needs to kill a run."""

from __future__ import annotations

import datetime as dt
import fnmatch
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from exporter.config.globs import matches
from exporter.config.kill import ROLES, Kill, PrincipalName, Rule, TokenAuth
from exporter.config.problems import Place, Problem, described
from exporter.config.target import Target
from exporter.config.values import is_exposed

#: Which kinds of principals each provider knows.
_KINDS: Mapping[str, Collection[str]] = {
    "grafana": ("user", "team", "role"),
    "proxy": ("user", "group"),
    "basic": ("user",),
    "local": ("user",),
    "token": ("token",),
}
_GLOB = re.compile(r"[*?\[]")


def unwise_kill(kill: Kill, targets: Sequence[Target], today: dt.date) -> Iterator[Problem]:
    """Yield what is unwise, placed below ``kill``.

    Args:
        kill: the section.
        targets: the targets of the whole file.
        today: the date in UTC.
    """
    yield from _unreachable_sessions(kill)
    yield from _providers(kill, today)
    served = [target for target in targets if target.name in kill.targets]
    for target in served:
        yield from _credential(kill, target)
    yield from _policy(kill, served)


def _unreachable_sessions(kill: Kill) -> Iterator[Problem]:
    if kill.grafana_url is None or "grafana" not in kill.personal_providers:
        return
    own, grafana = urlsplit(kill.public_url), urlsplit(kill.grafana_url)
    if own.hostname != grafana.hostname:
        meaning = f"is on another host than grafana_url, expected {grafana.hostname}, where browsers send its cookie"
        yield Problem(("public_url",), meaning)
    elif not f"{own.path}/".startswith(f"{grafana.path}/"):
        meaning = f"is not below the path of grafana_url, expected one below {grafana.path}, where its cookie is sent"
        yield Problem(("public_url",), meaning)


def _providers(kill: Kill, today: dt.date) -> Iterator[Problem]:
    if not kill.auth and any(rule.effect == "allow" and "user:local" in rule.principals for rule in kill.policy):
        yield Problem(("auth",), "is empty, so that everyone on this machine may kill, expected a provider")
    for position, entry in enumerate(kill.auth):
        for number, token in enumerate(entry.tokens if isinstance(entry, TokenAuth) else ()):
            if token.expires is not None and token.expires < today:
                place = ("auth", position, "tokens", number, "expires")
                yield Problem(place, f"{token.expires} is over, so that the token is refused, expected a later day")


def _credential(kill: Kill, target: Target) -> Iterator[Problem]:
    own = kill.targets[target.name]
    if is_exposed(target.url) and (own.configured or target.auth.configured):
        meaning = "sends the credential that may kill over plain http, expected https in the target's url"
        yield Problem(("targets", target.name), meaning)
    if target.auth.configured and not own.configured:
        meaning = "kills with the credential that the exporter reads with, expected one of its own, such as"
        yield Problem(("targets", target.name), f"{meaning} bearer_token_file")


def _policy(kill: Kill, served: Sequence[Target]) -> Iterator[Problem]:
    if not any(rule.effect == "allow" for rule in kill.policy):
        yield Problem(("policy",), "allows nobody to kill anything, expected a rule with effect: allow")
    for position, rule in enumerate(kill.policy):
        place = ("policy", position)
        yield from _matches_nothing(rule, served, place)
        for number, principal in enumerate(rule.principals):
            meaning = _matches_nobody(principal, kill)
            if meaning:
                yield Problem((*place, "principals", number), f"{described(principal)} matches nobody: {meaning}")
        earlier = next((one for one in kill.policy[:position] if _covers(one, rule, kill)), None)
        if earlier is not None:
            meaning = f"never decides, as the earlier rule {earlier.name} matches all that it does"
            yield Problem(place, f"{meaning}, expected it before that one")


def _matches_nothing(rule: Rule, served: Sequence[Target], place: Place) -> Iterator[Problem]:
    matched = [target for target in served if matches(target.name, rule.targets)]
    if not matched:
        yield Problem((*place, "targets"), "match none of kill.targets, expected the name of one or a glob")
    elif not any(target.may_have(rule.applications) for target in matched):
        meaning = "match no application of these targets, expected a code or a glob"
        yield Problem((*place, "applications"), meaning)


def _matches_nobody(principal: str, kill: Kill) -> str:
    """Return why nobody is called like this; empty if somebody may be."""
    provider, kind, name = PrincipalName.parse(principal)
    provider = provider or _provider_of(kind, kill)
    if not provider:
        return "no provider of people is configured, expected one under auth, or token:NAME"
    if kind not in _KINDS[provider]:
        known = " or ".join(f"{one}:" for one in _KINDS[provider])
        return f"the provider {provider} knows no {kind}s, expected {known}"
    if kind == "token":
        names = [token.name for token in kill.tokens]
        return "" if name in names else f"expected the name of a token: {', '.join(names)}"
    if kind == "role":
        return "" if name in ROLES else f"expected one of {', '.join(ROLES)}"
    if provider == "local":
        return "" if name == "local" else "without a provider under auth everyone is user:local, expected a provider"
    return "principals are whole names, expected no glob" if _GLOB.search(name) else ""


def _covers(earlier: Rule, later: Rule, kill: Kill) -> bool:
    """Tell whether ``earlier`` certainly matches whatever ``later`` does."""
    return all(
        all(any(_includes(wide, narrow) for wide in getattr(earlier, key)) for narrow in getattr(later, key))
        for key in ("targets", "applications", "jobs")
    ) and _principals(later, kill) <= _principals(earlier, kill)


def _includes(wide: str, narrow: str) -> bool:
    prefix = wide.removesuffix("*")
    if prefix != wide and _GLOB.search(prefix) is None:
        return narrow.startswith(prefix)
    return wide == narrow or (_GLOB.search(narrow) is None and fnmatch.fnmatchcase(narrow, wide))


def _principals(rule: Rule, kill: Kill) -> set[PrincipalName]:
    """Return the principals of a rule, all qualified: unqualified people are of the only provider that there is."""
    named = {PrincipalName.parse(principal) for principal in rule.principals}
    return {one._replace(provider=one.provider or _provider_of(one.kind, kill)) for one in named}


def _provider_of(kind: str, kill: Kill) -> str:
    """Return the provider of a principal that names none; empty if there is none.

    With several providers of people, such principals are refused.
    """
    return "token" if kind == "token" else "".join(kill.personal_providers[:1])
