"""The kinds of values that the configuration file holds, each with its check and its notation.

The same models serve two callers. Read from a file (a ``Reading`` is the validation context), durations and sizes need
units, relative paths start at the file's folder and secret files are opened; built in code, durations are seconds,
sizes bytes, and no file is touched.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, SecretStr, ValidationInfo

from exporter.config.document import kind
from exporter.config.problems import described
from exporter.config.profiles import Profile
from exporter.config.units import (
    DURATION_EXPECTED,
    SIZE_EXPECTED,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)
from exporter.secret import SecretFile

#: What stands in place of every secret that would otherwise be shown.
SECRET = "<secret>"  # noqa: S105 - the mask, not a secret

_CODE = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
# What the HTTP client sets itself; a second one would be a request that two servers read differently.
_RESERVED_HEADERS = {
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}


@dataclass(slots=True)
class Reading:
    """What validation of a file knows beyond the file's content.

    Attributes:
        folder: where relative paths start.
        profiles: every profile by name; ``None`` for one whose own definition is broken.
        closed_credentials: names of targets whose credential files are not to be opened.
        names: target names met so far.
        target: the name of the target being read.
    """

    folder: Path
    profiles: Mapping[str, Profile | None]
    closed_credentials: frozenset[str] = frozenset()
    names: set[str] = field(default_factory=set)
    target: str = ""


def _text(value: Any) -> str:
    if isinstance(value, str):
        if not value.strip():
            raise ValueError("is empty, expected text")
        return value
    quotes = " in quotes" if isinstance(value, bool | int | float) else ""
    raise ValueError(f"is {kind(value)}, expected text{quotes}")


def _code(value: Any) -> str:
    if isinstance(value, bool | int | float):
        raise ValueError(f"{described(value)} is {kind(value)}, expected text in quotes")
    text = _text(value)
    if _CODE.fullmatch(text) is None:
        raise ValueError(
            f"{described(text)} is not allowed, expected 1 to 128 of A-Z a-z 0-9 . _ - starting with a letter or digit"
        )
    return text


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"is {kind(value)}, expected true or false without quotes")
    return value


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        what = described(value) if isinstance(value, str | float | bool) else kind(value)
        raise ValueError(f"{what} is no whole number, expected one above 0")
    if value <= 0:
        raise ValueError(f"{value} is not positive, expected a whole number above 0")
    return value


def _duration(value: Any, info: ValidationInfo) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and info.context is None:
        seconds = float(value)
    elif isinstance(value, str) or number:
        seconds = parse_duration(str(value))
    else:
        raise ValueError(f"is {kind(value)}, expected {DURATION_EXPECTED}")
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{value} is not positive, expected {DURATION_EXPECTED}")
    return seconds


def _size(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"is {kind(value)}, expected {SIZE_EXPECTED}")
    size = parse_size(value) if isinstance(value, str) else value
    if size <= 0:
        raise ValueError(f"{value} is not positive, expected {SIZE_EXPECTED}")
    return size


def _path(value: Any, info: ValidationInfo) -> Path:
    if isinstance(value, Path):
        return value
    text = _text(value)
    if "\0" in text:
        raise ValueError("holds a NUL character, expected the path of a file")
    return info.context.folder / text if isinstance(info.context, Reading) else Path(text)


def _credential_file(path: Path, info: ValidationInfo) -> Path:
    reading = info.context
    if isinstance(reading, Reading) and reading.target not in reading.closed_credentials:
        _open_credential(path, reading.folder)
    return path


def _open_credential(path: Path, folder: Path) -> None:
    # A relative path is not shown: it may be a token that was put in place of a file's name.
    file = "the file" if path.is_relative_to(folder) else f"the file {path}"
    expected = "expected a readable file with nothing but the credential in it"
    try:
        SecretFile(path).read()
    except FileNotFoundError:
        raise ValueError(f"{file} does not exist{_unexpanded(path)}, {expected}") from None
    except OSError as error:
        raise ValueError(f"{file} cannot be read ({error.strerror}), {expected}") from None
    except ValueError as error:
        raise ValueError(f"{file} {str(error).removeprefix('the file ')}, {expected}") from None


def _pem_file(path: Path, info: ValidationInfo) -> Path:
    if isinstance(info.context, Reading):
        file = f"the file {_below(info.context.folder, path)}"
        expected = "expected a readable file in PEM"
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise ValueError(f"{file} does not exist{_unexpanded(path)}, {expected}") from None
        except OSError as error:
            raise ValueError(f"{file} cannot be read ({error.strerror}), {expected}") from None
        if b"-----BEGIN " not in content:
            raise ValueError(f"{file} is not in PEM, {expected}")
    return path


def _below(folder: Path, path: Path) -> Path:
    return path.relative_to(folder) if path.is_relative_to(folder) else path


def _unexpanded(path: Path) -> str:
    return " (~ and $ are not expanded)" if any(part.startswith("~") or "$" in part for part in path.parts) else ""


def check_authorities(path: Path) -> None:
    """Check that ``path`` holds certificates to trust.

    Raises:
        ValueError: with what was wrong and what was expected.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except (OSError, ValueError):
        raise ValueError("holds no certificate, expected certificates in PEM") from None


def check_key_pair(cert_file: Path, key_file: Path) -> None:
    """Check that the certificate and the private key belong together and that the key needs no passphrase.

    Raises:
        ValueError: with what was wrong and what was expected.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert_file, key_file, password=lambda: b"")
    except (OSError, ValueError):
        raise ValueError(
            "the key does not fit cert_file, expected its private key in PEM, without a passphrase"
        ) from None


def _url(value: Any) -> str:
    parts = _split(_text(value), schemes=("http", "https"), example="https://apps.example.com/cockpit")
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds a user name or password, expected it without (credentials belong under auth)")
    if parts.query or parts.fragment or value.endswith(("?", "#")):
        raise ValueError("has a query or fragment, expected only scheme, host, port and path")
    return str(value).rstrip("/")


def _proxy_url(value: Any) -> SecretStr:
    if isinstance(value, SecretStr):
        return value
    parts = _split(_text(value), schemes=("http", "https"), example="http://proxy.example.com:3128")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("has a path, query or fragment, expected only scheme, host and port")
    return SecretStr(value)


def _split(text: str, *, schemes: tuple[str, ...], example: str) -> SplitResult:
    # No message shows the address: it may hold a password.
    expected = f"expected an http or https address such as {example}"
    if not (text.isascii() and text.isprintable()) or any(character in text for character in ' "<>\\^`{|}'):
        raise ValueError(f"holds characters that no address has, {expected}")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"has no readable host and port, {expected}") from None
    if parts.scheme not in schemes or not parts.netloc:
        raise ValueError(f"does not start with http:// or https:// and a host, {expected}")
    if not host:
        raise ValueError(f"has no host, {expected}")
    if ":" in host:
        try:
            IPv6Address(host)
        except AddressValueError:
            raise ValueError(f"has no readable host and port, {expected}") from None
    elif _HOST.fullmatch(host) is None:
        raise ValueError(f"has a host with characters that no host name has, {expected}")
    if port == 0:
        raise ValueError(f"has port 0, {expected}")
    return parts


def is_exposed(url: str) -> bool:
    """Tell whether anyone on the way can read what is sent to an address: plain http that leaves this machine."""
    return url.startswith("http:") and not is_loopback(url)


def is_loopback(url: str) -> bool:
    """Tell whether an address stays on this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    for address in (IPv4Address, IPv6Address):
        try:
            return address(host).is_loopback
        except AddressValueError:
            continue
    return False


def masked_url(secret: SecretStr) -> str:
    """Return an address with its user name and password masked."""
    parts = urlsplit(secret.get_secret_value())
    userinfo, at, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{SECRET if userinfo else ''}{at}{host}").geturl()


def _header_name(value: Any) -> str:
    text = _text(value)
    if _HEADER_NAME.fullmatch(text) is None:
        raise ValueError("is not a header's name, expected letters, digits and -")
    if text.lower() in _RESERVED_HEADERS:
        raise ValueError("is a header that the HTTP client sets itself, expected another one")
    return text


def header_text(value: str) -> SecretStr:
    """Return a header's value, which is a secret until proven otherwise.

    Raises:
        ValueError: it is not one printable line; the message does not show it.
    """
    if not value or not (value.isascii() and value.isprintable()) or value != value.strip():
        raise ValueError("is not one printable line, expected ASCII text without surrounding spaces")
    return SecretStr(value)


#: Non-empty text.
Text = Annotated[str, BeforeValidator(_text)]
#: A target's name or an application's code: safe in a URL's path and in a file's name.
Code = Annotated[str, BeforeValidator(_code)]
#: true or false, not text that means it.
Flag = Annotated[bool, BeforeValidator(_flag)]
#: A whole number above 0.
Count = Annotated[int, BeforeValidator(_count)]
#: Seconds; ``15s`` in the file.
Duration = Annotated[float, BeforeValidator(_duration), PlainSerializer(format_duration)]
#: Bytes; ``64MiB`` in the file.
Size = Annotated[int, BeforeValidator(_size), PlainSerializer(format_size)]
#: A path; a relative one starts at the configuration file's folder.
FilePath = Annotated[Path, BeforeValidator(_path), PlainSerializer(str)]
#: The path of a file that holds one credential.
CredentialPath = Annotated[Path, AfterValidator(_credential_file), BeforeValidator(_path), PlainSerializer(str)]
#: The path of a file in PEM.
PemPath = Annotated[Path, AfterValidator(_pem_file), BeforeValidator(_path), PlainSerializer(str)]
#: An http or https address without a trailing slash, query, fragment or user name.
Url = Annotated[str, BeforeValidator(_url)]
#: A proxy's address, which may hold a password.
ProxyUrl = Annotated[SecretStr, BeforeValidator(_proxy_url), PlainSerializer(masked_url)]
#: The name of a request header.
HeaderName = Annotated[str, BeforeValidator(_header_name)]
