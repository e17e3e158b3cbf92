"""One entry of ``targets``: an installation, how it is reached, and what of it is shown."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    TypeAdapter,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from exporter.config.document import kind
from exporter.config.globs import Globs, any_of, matches
from exporter.config.problems import described
from exporter.config.section import Section
from exporter.config.values import (
    SECRET,
    Code,
    Count,
    CredentialPath,
    Flag,
    HeaderName,
    PemPath,
    ProxyUrl,
    Reading,
    Size,
    Text,
    Url,
    check_authorities,
    check_key_pair,
    header_text,
)


class HeaderFile(Section):
    """A request header's value that stands in a file."""

    file: CredentialPath


def _header_value(value: Any, info: ValidationInfo) -> SecretStr | HeaderFile:
    if isinstance(value, SecretStr | HeaderFile):
        return value
    if isinstance(value, str):
        return header_text(value)
    if isinstance(value, dict):
        return HeaderFile.model_validate(value, context=info.context)
    raise ValueError(f"is {kind(value)}, expected text in quotes or {{file: PATH}}")


def _header_shown(value: SecretStr | HeaderFile) -> str | dict[str, str]:
    return {"file": str(value.file)} if isinstance(value, HeaderFile) else SECRET


HeaderValue = Annotated[SecretStr | HeaderFile, PlainValidator(_header_value), PlainSerializer(_header_shown)]


class Auth(Section):
    """How requests to a target are authenticated."""

    bearer_token_file: CredentialPath | None = None
    cookie_file: CredentialPath | None = None
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)

    @field_validator("headers")
    @classmethod
    def _each_once(cls, headers: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        names = [name.lower() for name in headers]
        if len(set(names)) < len(names):
            raise ValueError("holds a header twice (upper and lower case are the same), expected each once")
        for name, key in (("authorization", "bearer_token_file"), ("cookie", "cookie_file")):
            if name in names and info.data.get(key) is not None:
                raise ValueError(f"holds {name.title()} although {key} is set, expected one of the two")
        return headers

    @property
    def configured(self) -> bool:
        """Whether requests carry any credential."""
        return bool(self.bearer_token_file or self.cookie_file or self.headers)


class Tls(Section):
    """How a target's certificate is judged, and which one is shown to it."""

    ca_file: PemPath | None = None
    cert_file: PemPath | None = None
    key_file: PemPath | None = Field(default=None, validate_default=True)
    server_name: Text | None = None
    insecure_skip_verify: Flag = False

    @field_validator("ca_file")
    @classmethod
    def _holds_certificates(cls, ca_file: Path, info: ValidationInfo) -> Path:
        if isinstance(info.context, Reading):
            check_authorities(ca_file)
        return ca_file

    @field_validator("key_file")
    @classmethod
    def _fits_certificate(cls, key_file: Path | None, info: ValidationInfo) -> Path | None:
        if "cert_file" not in info.data:
            return key_file
        cert_file = info.data["cert_file"]
        if cert_file is not None and key_file is None:
            raise ValueError("is missing although cert_file is set, expected the file of its private key")
        if cert_file is None and key_file is not None:
            raise ValueError("is set although cert_file is not, expected both or neither")
        if isinstance(info.context, Reading) and key_file is not None:
            check_key_pair(cert_file, key_file)
        return key_file


class Results(Section):
    """Where Dumbella answers ``/execution/{id}/result``."""

    url: Url


class JobFilter(Section):
    """Globs on job names: a job is shown when it matches one of ``include`` and none of ``exclude``."""

    include: Globs = ("*",)
    exclude: Globs = ()

    @field_validator("include")
    @classmethod
    def _includes_something(cls, include: tuple[str, ...]) -> tuple[str, ...]:
        if not include:
            raise ValueError('is empty, expected at least one glob ("*" is every job)')
        return include

    def admits(self, job_name: str) -> bool:
        """Tell whether a job is shown, by its name without a trailing ``.zip``; upper and lower case differ."""
        return bool(self._include.match(job_name)) and not self._exclude.match(job_name)

    @functools.cached_property
    def _include(self) -> re.Pattern[str]:
        return any_of(self.include)

    @functools.cached_property
    def _exclude(self) -> re.Pattern[str]:
        return any_of(self.exclude)


class Limits(Section):
    """Caps per target."""

    jobs: Count = 10_000
    executions: Count = 500
    response_bytes: Size = 64 * 1024 * 1024


def _applications(value: Any, info: ValidationInfo) -> tuple[str, ...] | Literal["discover"]:
    if value == "discover":
        return "discover"
    if not isinstance(value, list | tuple):
        raise ValueError(
            f"is {kind(value)}, expected a list of application codes such as [K7SALES, M2STOCK], or discover"
        )
    if not value:
        raise ValueError("is empty, expected at least one application code, or discover")
    codes = _CODES.validate_python(value, context=info.context)
    twice = sorted({code for code in codes if codes.count(code) > 1})
    if twice:
        raise ValueError(f"holds {', '.join(twice)} more than once, expected each application once")
    return codes


_CODES = TypeAdapter(tuple[Code, ...])
Applications = Annotated[tuple[str, ...] | Literal["discover"], PlainValidator(_applications)]


class Target(Section):
    """One Cockpit (or Pages, or App Composer) installation."""

    name: Code
    url: Url
    profile: Text = "cockpit"
    applications: Applications
    auth: Auth = Auth()
    tls: Tls = Tls()
    proxy_url: ProxyUrl | None = None
    results: Results | None = None
    jobs: JobFilter = JobFilter()
    limits: Limits = Limits()
    error_detail: Flag = True

    @field_validator("name")
    @classmethod
    def _unique(cls, name: str, info: ValidationInfo) -> str:
        if isinstance(info.context, Reading):
            if name in info.context.names:
                raise ValueError(f"{described(name)} is the name of an earlier target, expected each name once")
            info.context.names.add(name)
        return name

    @field_validator("profile")
    @classmethod
    def _known_profile(cls, profile: str, info: ValidationInfo) -> str:
        reading = info.context
        if isinstance(reading, Reading) and profile not in reading.profiles:
            raise ValueError(f"{described(profile)} is no profile, expected one of {', '.join(reading.profiles)}")
        return profile

    @field_validator("applications")
    @classmethod
    def _discoverable(cls, applications: Any, info: ValidationInfo) -> Any:
        reading = info.context
        if applications == "discover" and isinstance(reading, Reading):
            profile = reading.profiles.get(info.data.get("profile", ""))
            if profile is not None and not profile.paths.applications:
                raise ValueError(
                    f"discover needs a path, and the profile {info.data['profile']} has none, expected a list of"
                    " application codes"
                )
        return applications

    @field_validator("auth", mode="wrap")
    @classmethod
    def _of_this_target(cls, auth: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        # Whether the files under auth are to be opened depends on the target that they belong to.
        if isinstance(info.context, Reading):
            info.context.target = info.data.get("name", "")
        return validate(auth)

    def may_have(self, applications: Sequence[str]) -> bool:
        """Tell whether any of its applications may match one of these globs; of those that are discovered, any may."""
        return self.applications == "discover" or any(matches(code, applications) for code in self.applications)
