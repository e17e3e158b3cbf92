"""Which form of the metrics a scraper wants, from its ``Accept`` and ``Accept-Encoding`` headers (RFC 9110, 12.5)."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.exposition import Format

#: What we can send, the preferred one first: it wins where a client likes several equally.
_MEDIA_TYPES: tuple[tuple[Format, str, frozenset[str]], ...] = (
    ("text", "text/plain", frozenset({"", "0.0.4"})),
    ("openmetrics", "application/openmetrics-text", frozenset({"", "0.0.1", "1.0.0"})),
)


def choose_format(accept: str) -> Format:
    """Return the format that the client likes best; text where it names none that we have."""
    best: tuple[float, Format] = (0.0, "text")
    ranges = list(_ranges(accept))
    for format_, media_type, versions in _MEDIA_TYPES:
        quality = max(
            (
                (specificity, quality)
                for name, version, quality in ranges
                if (specificity := _specificity(name, media_type)) and version in versions
            ),
            default=(0, 0.0),
        )[1]
        if quality > best[0]:
            best = (quality, format_)
    return best[1]


def accepts_gzip(accept_encoding: str) -> bool:
    """Tell whether the client takes gzip."""
    qualities = {name: quality for name, _, quality in _ranges(accept_encoding)}
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0


def _specificity(name: str, media_type: str) -> int:
    """Return how closely a media range fits a media type, 0 if it does not: an exact name outranks a wildcard."""
    if name == media_type:
        return 3
    if name == f"{media_type.partition('/')[0]}/*":
        return 2
    return 1 if name == "*/*" else 0


def _ranges(header: str) -> Iterator[tuple[str, str, float]]:
    """Yield name, version and quality of each element; an unreadable quality counts as none wanted."""
    for element in header.split(","):
        name, *rest = (part.strip() for part in element.split(";"))
        if not name:
            continue
        parameters = {
            key.strip().lower(): value.strip().strip('"') for key, _, value in (part.partition("=") for part in rest)
        }
        try:
            quality = float(parameters.get("q", "1"))
        except ValueError:
            quality = 0.0
        yield name.lower(), parameters.get("version", ""), quality if 0.0 <= quality <= 1.0 else 0.0
