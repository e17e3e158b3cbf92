"""The sidecar's section of the configuration file as typed models.

Every problem is a sentence that names its key, as in :mod:`exporter.config`; durations are seconds when the models are
built in code. What depends on the command line (where it listens, whether with TLS) is judged by :func:`refusals`.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import InitErrorDetails

from exporter.config.document import kind
from exporter.config.globs import Globs
from exporter.config.problems import Problem, described, empty_values, found_in, keys_of
from exporter.config.section import Section
from exporter.config.target import Auth
from exporter.config.units import DURATION_EXPECTED, format_duration, parse_duration
from exporter.config.values import (
    Code,
    Count,
    CredentialPath,
    Duration,
    FilePath,
    Flag,
    HeaderName,
    PemPath,
    Reading,
    Text,
    Url,
    is_exposed,
    is_loopback,
)
from exporter.secret import SecretFile

#: Grafana's roles in an organisation, the least first.
Role = Literal["Viewer", "Editor", "Admin"]
ROLES: tuple[Role, ...] = ("Viewer", "Editor", "Admin")
#: Kinds of principals that a policy can name.
PRINCIPAL_KINDS = ("user", "team", "group", "role", "token")
#: Providers whose principals are people rather than programs; ``local`` is everyone where none is configured.
PERSONAL_PROVIDERS = ("grafana", "proxy", "basic", "local")

_LONGEST_PAGE_TOKEN = 300.0
_SHORTEST_KEY = 32
_HOSTNAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?|\[?[0-9A-Fa-f:.]{2,45}\]?")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_COOKIE_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")


def _age(value: Any, info: ValidationInfo) -> float:
    """Read a duration that may be 0."""
    if isinstance(value, int | float) and not isinstance(value, bool) and info.context is None:
        return float(value)
    if isinstance(value, str) or value == 0:
        return parse_duration(str(value))
    raise ValueError(f"is {kind(value)}, expected {DURATION_EXPECTED}, or 0s")


#: Seconds, 0 included; ``15s`` in the file.
Age = Annotated[float, BeforeValidator(_age), PlainSerializer(format_duration)]


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(text, str) and text.strip() for text in value):
        raise ValueError("is no list of texts, expected one such as [sre, etl-operators]")
    return tuple(value)


Texts = Annotated[tuple[str, ...], PlainValidator(_texts)]


class GrafanaAuth(Section):
    """People with a session in Grafana.

    Attributes:
        url: where the sidecar asks Grafana.
        org_id: the organisation whose role counts.
        min_role: the role that suffices.
        teams: teams whose members may enter with a smaller role.
        cookie_name: Grafana's ``login_cookie_name``.
        ca_file: authorities that Grafana's certificate may come from, instead of the system's.
        timeout: for each of the questions.
    """

    type: Literal["grafana"]
    url: Url
    org_id: Count = 1
    min_role: Role = "Editor"
    teams: Texts = ()
    cookie_name: Text = "grafana_session"
    ca_file: PemPath | None = None
    timeout: Duration = 3.0

    @field_validator("cookie_name")
    @classmethod
    def _is_cookie_name(cls, name: str) -> str:
        if _COOKIE_NAME.fullmatch(name) is None:
            raise ValueError("is not a cookie's name, expected letters, digits, _ and -")
        return name


class ProxyAuth(Section):
    """People whom a proxy in ``trusted_proxies`` has authenticated.

    Attributes:
        user_header: the header with the login.
        groups_header: the header with the groups, separated by commas.
    """

    type: Literal["proxy"]
    user_header: HeaderName = "X-WEBAUTH-USER"
    groups_header: HeaderName = "X-WEBAUTH-GROUPS"

    @field_validator("groups_header")
    @classmethod
    def _two_headers(cls, name: str, info: ValidationInfo) -> str:
        if name.lower() == info.data.get("user_header", "").lower():
            raise ValueError("is the same as user_header, expected another header")
        return name


class BasicAuth(Section):
    """The users of the web configuration's ``basic_auth_users``."""

    type: Literal["basic"]


def _hash(value: Any) -> str:
    if not isinstance(value, str) or _SHA256.fullmatch(value) is None:
        # The value is not shown: it may be the token itself.
        raise ValueError("is no SHA-256, expected 64 hexadecimal digits in quotes, as sha256sum prints them")
    return value.lower()


def _day(value: Any) -> dt.date:
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    if isinstance(value, str):
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{described(value)} is no date, expected one such as 2027-06-30") from None
    raise ValueError(f"is {kind(value)}, expected a date such as 2027-06-30")


class ApiToken(Section):
    """One bearer token of the API.

    Attributes:
        name: the login of its principal.
        sha256: the hexadecimal SHA-256 of the token, in lower case.
        expires: the last day on which it is accepted, in UTC.
        targets: globs of the targets that it may see and act on.
    """

    name: Code
    sha256: Annotated[str, PlainValidator(_hash), PlainSerializer(lambda _: "<secret>")] = Field(repr=False)
    expires: Annotated[dt.date, PlainValidator(_day), PlainSerializer(str)] | None = None
    targets: Globs = ("*",)


class TokenAuth(Section):
    """Programs with a bearer token; they may use the API only."""

    type: Literal["token"]
    tokens: tuple[ApiToken, ...] = Field(min_length=1)

    @field_validator("tokens")
    @classmethod
    def _each_once(cls, tokens: tuple[ApiToken, ...]) -> tuple[ApiToken, ...]:
        names = [token.name for token in tokens]
        if len(set(names)) < len(names) or len({token.sha256 for token in tokens}) < len(tokens):
            raise ValueError("holds a name or a hash twice, expected each once")
        return tokens


AuthEntry = GrafanaAuth | ProxyAuth | BasicAuth | TokenAuth
_AUTH_ENTRIES: Mapping[str, type[AuthEntry]] = {
    "grafana": GrafanaAuth,
    "proxy": ProxyAuth,
    "basic": BasicAuth,
    "token": TokenAuth,
}


def _auth_entry(value: Any, info: ValidationInfo) -> AuthEntry:
    if isinstance(value, AuthEntry):
        return value
    if not isinstance(value, dict):
        raise ValueError(f"is {kind(value)}, expected a mapping with the key type")
    if not isinstance(value.get("type"), str) or value["type"] not in _AUTH_ENTRIES:
        raise ValueError(f"has no known type, expected type: one of {', '.join(_AUTH_ENTRIES)}")
    model = _AUTH_ENTRIES[value["type"]]
    try:
        return model.model_validate(value, context=info.context)
    except ValidationError as error:
        # Which keys an entry may have depends on its type, which only this place knows.
        raise ValidationError.from_exception_data(
            model.__name__, [_line(problem) for problem in found_in(error, model)]
        ) from None


def _line(problem: Problem) -> InitErrorDetails:
    return InitErrorDetails(
        type="value_error", loc=problem.place, input=None, ctx={"error": ValueError(problem.sentence)}
    )


class KillTarget(Auth):
    """What the sidecar needs for one target beside the target's own section.

    Without a credential of its own, the target's ``auth`` is used.

    Attributes:
        csrf: ``spring`` if Cockpit wants its ``XSRF-TOKEN`` cookie back as a header.
    """

    csrf: Literal["none", "spring"] = "none"


_PRINCIPAL = re.compile(
    rf"(?:(?P<provider>grafana|proxy|basic|token|local):)??(?P<kind>{'|'.join(PRINCIPAL_KINDS)}):(?P<name>\S.*)"
)


class PrincipalName(NamedTuple):
    """What a policy calls somebody: ``KIND:NAME``, perhaps after ``PROVIDER:``, which is empty otherwise."""

    provider: str
    kind: str
    name: str

    @classmethod
    def parse(cls, text: str) -> PrincipalName:
        """Take a principal apart.

        Raises:
            ValueError: it is none.
        """
        match = _PRINCIPAL.fullmatch(text)
        if match is None:
            raise ValueError(
                f"{described(text)} is no principal, expected KIND:NAME or PROVIDER:KIND:NAME with KIND one of"
                f" {', '.join(PRINCIPAL_KINDS)}"
            )
        return cls(match["provider"] or "", match["kind"], match["name"])


def _principal(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"is {kind(value)}, expected a principal such as user:alice")
    PrincipalName.parse(value)
    return value


class Rule(Section):
    """One rule of the policy; globs are matched with upper and lower case told apart.

    Attributes:
        name: what the audit calls it.
        effect: what happens where it matches.
        targets: globs on the target's name.
        applications: globs on the application's code.
        jobs: globs on the job's name without a trailing ``.zip``.
        principals: whom it concerns.
        require_reason: whether a reason has to be given.
        min_age: seconds that an execution must have run.
        cooldown: seconds after a kill of an execution in which it is not killed again.
        dry_run: whether everything happens but the kill itself.
    """

    name: Code
    effect: Literal["allow", "deny"]
    targets: Globs = ("*",)
    applications: Globs = ("*",)
    jobs: Globs = ("*",)
    principals: tuple[Annotated[str, BeforeValidator(_principal)], ...] = Field(min_length=1)
    require_reason: Flag = False
    min_age: Age = 0.0
    cooldown: Age = 30.0
    dry_run: Flag = False


class View(Section):
    """Who may look beside those whom the policy names."""

    min_role: Role | None = None


class KillLimits(Section):
    """How often."""

    pages_per_minute: Count = 10
    kills_per_user_10m: Count = 5
    kills_per_target_10m: Count = 20
    kills_per_hour: Count = 50


class Timeouts(Section):
    """How long; seconds."""

    read: Duration = 3.0
    kill: Duration = 5.0
    confirm: Duration = 30.0
    page_token: Duration = 300.0
    drain: Duration = 10.0

    @field_validator("page_token")
    @classmethod
    def _short(cls, page_token: float) -> float:
        if page_token > _LONGEST_PAGE_TOKEN:
            raise ValueError(f"{format_duration(page_token)} is too long, expected at most 5m")
        return page_token


class Audit(Section):
    """Where the record of all that was asked and done goes."""

    file: FilePath
    stdout: Flag = True


class Annotations(Section):
    """A mark in Grafana for each confirmed kill.

    Attributes:
        url: where the sidecar asks Grafana; ``grafana_url`` if unset.
        token_file: a Grafana service account's token.
    """

    enabled: Flag = False
    url: Url | None = None
    token_file: CredentialPath | None = Field(default=None, validate_default=True)

    @field_validator("token_file")
    @classmethod
    def _has_token(cls, token_file: Any, info: ValidationInfo) -> Any:
        if info.data.get("enabled") and token_file is None:
            raise ValueError("is missing, expected the path of the file that holds a service account's token")
        return token_file


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _network(value: Any) -> Network:
    if isinstance(value, Network):
        return value
    try:
        network = ipaddress.ip_network(value if isinstance(value, str) else "")
    except ValueError:
        what = described(value) if isinstance(value, str) else kind(value)
        raise ValueError(f"{what} is no network, expected an address or one such as 10.1.2.0/24") from None
    if network.prefixlen == 0:
        raise ValueError(f"{described(value)} is everybody, expected the networks of your proxies")
    return network


def _hostname(value: Any) -> str:
    if not isinstance(value, str) or _HOSTNAME.fullmatch(value) is None:
        raise ValueError("is no host name, expected one without scheme and port, such as grafana.example.com")
    return value.strip("[]").lower()


class Kill(Section):
    """The section ``kill``.

    Attributes:
        mode: ``dry_run`` does everything but the kill itself.
        public_url: what browsers call the sidecar; its path is the prefix of all pages.
        grafana_url: what browsers call Grafana, for the link back to a dashboard.
        secret_file: the key of the page tokens, so that they stay valid over a restart.
        allowed_hosts: further host names by which the sidecar may be called.
        behind_tls_proxy: whether a proxy in front of the sidecar ends TLS.
        trusted_proxies: networks of the proxies whose headers count.
    """

    mode: Literal["dry_run", "live"] = "dry_run"
    public_url: Url
    grafana_url: Url | None = None
    secret_file: CredentialPath | None = None
    allowed_hosts: tuple[Annotated[str, BeforeValidator(_hostname)], ...] = ()
    behind_tls_proxy: Flag = False
    trusted_proxies: tuple[Annotated[Network, PlainValidator(_network), PlainSerializer(str)], ...] = ()
    auth: tuple[Annotated[AuthEntry, PlainValidator(_auth_entry)], ...] = ()
    targets: dict[Text, KillTarget] = Field(min_length=1)
    view: View = View()
    policy: tuple[Rule, ...] = ()
    limits: KillLimits = KillLimits()
    timeouts: Timeouts = Timeouts()
    audit: Audit
    annotations: Annotations = Annotations()

    @field_validator("secret_file")
    @classmethod
    def _long_enough(cls, path: Path, info: ValidationInfo) -> Path:
        if isinstance(info.context, Reading) and len(SecretFile(path).read()) < _SHORTEST_KEY:
            raise ValueError(f"holds a short key, expected at least {_SHORTEST_KEY} random characters")
        return path

    @field_validator("public_url")
    @classmethod
    def _encrypted(cls, url: str) -> str:
        if is_exposed(url):
            raise ValueError("is plain http off this machine, expected an https address")
        return url

    @property
    def prefix(self) -> str:
        """The path of ``public_url``, without a trailing slash: empty, or as in ``/kill-sidecar``."""
        return urlsplit(self.public_url).path

    @property
    def secure(self) -> bool:
        """Whether browsers speak TLS with the sidecar or with the proxy before it."""
        return self.public_url.startswith("https:")

    @property
    def personal_providers(self) -> tuple[str, ...]:
        """Names of the configured providers whose principals are people."""
        if not self.auth:
            return ("local",)
        return tuple(dict.fromkeys(entry.type for entry in self.auth if entry.type in PERSONAL_PROVIDERS))

    @property
    def tokens(self) -> tuple[ApiToken, ...]:
        """The tokens of all configured providers."""
        return tuple(token for entry in self.auth if isinstance(entry, TokenAuth) for token in entry.tokens)

    @property
    def token_providers(self) -> tuple[str, ...]:
        """The name of the provider of tokens, if it is configured."""
        return ("token",) if self.tokens else ()


def read(section: Any, reading: Reading, profiles_of: Mapping[str, str]) -> tuple[Kill | None, list[Problem]]:
    """Return the section as a model, or every problem in it, placed from the top of the file.

    Args:
        section: what stands under ``kill``.
        reading: the context of the file.
        profiles_of: the name of the profile of each configured target.
    """
    if not isinstance(section, dict) or not section:
        return None, [Problem(("kill",), "is missing or empty, expected the sidecar's section")]
    problems: list[Problem] = []
    kill = None
    reading.target = ""
    try:
        kill = Kill.model_validate(section, context=reading)
    except ValidationError as error:
        problems.extend(found_in(error, Kill))
    problems.extend(empty_values(section))
    problems.extend(_unserved(section.get("targets"), reading, profiles_of))
    if kill is not None:
        problems.extend(_inconsistent(kill))
    return kill, [Problem(("kill", *problem.place), problem.sentence) for problem in problems]


def _unserved(targets: Any, reading: Reading, profiles_of: Mapping[str, str]) -> Iterator[Problem]:
    for name in targets if isinstance(targets, dict) else ():
        if name not in profiles_of:
            expected = f"expected one of {', '.join(profiles_of)}" if profiles_of else "expected the name of one"
            yield Problem(("targets", name), f"is no target of this file, {expected}")
            continue
        profile = reading.profiles.get(profiles_of[name])
        for endpoint in ("kill", "executions"):
            if profile is not None and not getattr(profile.paths, endpoint):
                yield Problem(
                    ("targets", name),
                    f"uses the profile {profiles_of[name]}, which has no path {endpoint}, expected one that has",
                )


def _inconsistent(kill: Kill) -> Iterator[Problem]:
    types = [entry.type for entry in kill.auth]
    for position, entry in enumerate(kill.auth):
        if entry.type in types[:position]:
            yield Problem(("auth", position), f"is a second entry of type {entry.type}, expected each type once")
        if isinstance(entry, ProxyAuth) and not kill.trusted_proxies:
            yield Problem(("auth", position), "needs trusted_proxies, expected the networks of your proxies there")
    if kill.annotations.enabled and kill.annotations.url is None and kill.grafana_url is None:
        yield Problem(("annotations", "url"), "is missing like grafana_url, expected the address of Grafana")
    names = [rule.name for rule in kill.policy]
    for position, rule in enumerate(kill.policy):
        if rule.name in names[:position]:
            yield Problem(
                ("policy", position, "name"), f"{described(rule.name)} is an earlier rule's name, expected each once"
            )
        for number, principal in enumerate(rule.principals):
            sentence = _misnamed(principal, kill)
            if sentence:
                yield Problem(("policy", position, "principals", number), sentence)


def _misnamed(principal: str, kill: Kill) -> str:
    provider, named, _ = PrincipalName.parse(principal)
    configured = (*kill.personal_providers, *kill.token_providers)
    if not provider and named == "token":
        provider = "token"
    if provider and provider not in configured:
        return (
            f"{described(principal)} names a provider that is not configured, expected one of {', '.join(configured)}"
        )
    if not provider and len(kill.personal_providers) > 1:
        first = kill.personal_providers[0]
        return (
            f"{described(principal)} could be of {' or '.join(kill.personal_providers)}, expected it qualified as in"
            f" {first}:{principal}"
        )
    return ""


def refusals(kill: Kill, *, loopback: bool, tls: bool, insecure_no_auth: bool) -> Sequence[str]:
    """Return why the sidecar must not start the way it was asked to, each as one line.

    Args:
        kill: the section.
        loopback: whether only loopback addresses are listened on.
        tls: whether the web configuration switches TLS on.
        insecure_no_auth: whether ``--insecure-no-auth`` was given.
    """
    lines = []
    if not kill.auth and not loopback and not insecure_no_auth:
        lines.append(
            "kill.auth: is empty although the sidecar is to listen off this machine, expected a provider,"
            " a loopback address, or --insecure-no-auth"
        )
    carries = bool(kill.auth)
    if carries and not loopback and not tls and not kill.behind_tls_proxy and not is_loopback(kill.public_url):
        lines.append(
            "kill.behind_tls_proxy: is false and the sidecar is to listen off this machine without TLS,"
            " expected --web.config.file with tls_server_config, behind_tls_proxy: true, or a loopback address"
        )
    return lines


def sections() -> Iterator[type[BaseModel]]:
    """Yield the model of every section under ``kill``, for the test of the reference."""
    yield from (Kill, GrafanaAuth, ProxyAuth, BasicAuth, TokenAuth, ApiToken, KillTarget, View, Rule)
    yield from (KillLimits, Timeouts, Audit, Annotations)


def keys() -> set[str]:
    """Return every key that can stand under ``kill``."""
    return {key for section in sections() for key in keys_of(section)}
