"""docs/configuration.md names every key, in order, with its default, and every example in it loads."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from pydantic import BaseModel

from exporter.config import (
    Auth,
    Config,
    Expectation,
    Global,
    HeaderFile,
    JobFilter,
    Limits,
    Results,
    Target,
    Tls,
    load,
    warnings,
)
from exporter.config import kill as settings
from exporter.config.problems import keys_of
from exporter.config.profiles import Dates, Fields, Items, Paging, Paths, Profile, Values

FILES = Path(__file__).parent / "files"
REFERENCE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
#: The secret files that the examples name → stand-ins for them.
SECRETS = {
    "cockpit-api-key": "token",
    "gateway-key": "token",
    "cockpit-cookie": "cookie",
    "ca.pem": "client.pem",
    "client.pem": "client.pem",
    "client.key": "client.key",
    "cockpit-kill-key": "token",
    "page-token-key": "page-token-key",
    "grafana-token": "token",
}
_TOKEN = settings.ApiToken(name="ci", sha256="5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8")
_AUDIT = settings.Audit(file=Path("a"))
#: Heading → a section of that kind with nothing set that has a default.
SECTIONS: dict[str, BaseModel] = {
    "The file": Config(),
    "global": Global(),
    "targets[]": Target(name="a", url="https://a.example.com", applications=("K7SALES",)),
    "targets[].auth": Auth(),
    "targets[].auth.headers.NAME": HeaderFile(file=Path("a")),
    "targets[].tls": Tls(),
    "targets[].results": Results(url="https://a.example.com"),
    "targets[].jobs": JobFilter(),
    "targets[].limits": Limits(),
    "profiles.NAME": Profile(),
    "profiles.NAME.paths": Paths(),
    "profiles.NAME.items": Items(),
    "profiles.NAME.fields": Fields(),
    "profiles.NAME.values": Values(),
    "profiles.NAME.dates": Dates(),
    "profiles.NAME.paging": Paging(),
    "expectations[]": Expectation.model_construct(),
    "kill": settings.Kill(public_url="https://a.example.com", targets={"a": settings.KillTarget()}, audit=_AUDIT),
    "kill.auth[]` of type grafana": settings.GrafanaAuth(type="grafana", url="https://a.example.com"),
    "kill.auth[]` of type proxy": settings.ProxyAuth(type="proxy"),
    "kill.auth[]` of type basic": settings.BasicAuth(type="basic"),
    "kill.auth[]` of type token": settings.TokenAuth(type="token", tokens=(_TOKEN,)),
    "kill.auth[].tokens[]": _TOKEN,
    "kill.targets.NAME": settings.KillTarget(),
    "kill.view": settings.View(),
    "kill.policy[]": settings.Rule(name="a", effect="allow", principals=("user:a",)),
    "kill.limits": settings.KillLimits(),
    "kill.timeouts": settings.Timeouts(),
    "kill.audit": _AUDIT,
    "kill.annotations": settings.Annotations(),
}


class Row(NamedTuple):
    """One key in a table of the reference."""

    section: str
    key: str
    default: str
    meaning: str
    example: str


def rows() -> Iterator[Row]:
    """Yield the keys in the reference's tables, in order."""
    section = ""
    for line in REFERENCE.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ").strip("`")
        elif line.startswith("| `"):
            cells = [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            key, _, default, meaning, example = cells
            yield Row(section, key.strip("`"), default, meaning, example[1:-1])


def with_example(section: str, example: dict[str, Any]) -> dict[str, Any]:
    """Return a document whose ``section`` holds the example and whose rest is as small as it can be."""
    minimal = {"name": "a", "url": "https://a.example.com", "applications": ["K7SALES"]}
    document: dict[str, Any] = {"targets": [minimal]}
    if section == "The file":
        return document | example
    place: Any = document
    for part in section.replace("NAME", "x-name").split("."):
        name = part.removesuffix("[]")
        place = place.setdefault(name, [{}] if name != part else {})
        place = place[0] if name != part else place
    place.update(example)
    return document


def with_kill_example(section: str, example: Any) -> dict[str, Any]:
    """Return a document for the sidecar whose ``section`` holds the example and whose rest is as small as it can be."""
    people = {"type": "basic"}
    kill: dict[str, Any] = {
        "public_url": "https://a.example.com",
        "grafana_url": "https://a.example.com",
        "trusted_proxies": ["10.0.0.1"],
        "auth": [people],
        "targets": {"production": {}},
        "audit": {"file": "audit.jsonl"},
    }
    if section == "kill":
        kill |= example
    elif section.startswith("kill.auth[]`"):
        kill["auth"] = [example]
    elif section == "kill.auth[].tokens[]":
        kill["auth"] = [people, {"type": "token", "tokens": [example]}]
    elif section == "kill.targets.NAME":
        kill["targets"]["production"] = example
    else:
        name = section.removeprefix("kill.")
        kill[name.removesuffix("[]")] = [example] if name.endswith("[]") else example
    target = {"name": "production", "url": "https://a.example.com", "applications": ["K7SALES"]}
    return {"targets": [target], "kill": kill}


def write(folder: Path, text: str) -> Path:
    """Write a configuration and the secret files that it names into ``folder``; return its path."""
    for secret, stand_in in SECRETS.items():
        shutil.copy(FILES / stand_in, folder / secret)
    path = folder / "dumbella.yml"
    path.write_text(text.replace("/run/secrets/", f"{folder}/"), encoding="utf-8")
    return path


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_has_its_row(section: str) -> None:
    """The table under a section's heading lists the section's keys, all of them, in order."""
    assert keys_of(type(SECTIONS[section])) == [row.key for row in rows() if row.section == section]


def test_every_section_has_its_heading() -> None:
    """The reference has tables for the sections that exist, and for no other."""
    assert list(SECTIONS) == list(dict.fromkeys(row.section for row in rows()))


@pytest.mark.parametrize("row", list(rows()), ids=lambda row: f"{row.section}-{row.key}")
def test_default_is_as_documented(row: Row) -> None:
    """The documented default is the one that holds."""
    model = type(SECTIONS[row.section])
    field = next(field for name, field in model.model_fields.items() if row.key == (field.alias or name))
    value = SECTIONS[row.section].model_dump(by_alias=True)[row.key]
    if row.default == "required":
        assert field.is_required() or (row.section, row.key) == ("The file", "targets")
    elif row.default in {"", "inherited"}:
        assert value is None or isinstance(value, dict)
    else:
        # A glob is text, which YAML would take for an alias.
        default = "*" if row.default == "`*`" else yaml.safe_load(row.default.strip("`"))
        actual = list(value) if isinstance(value, tuple) else value
        assert default == ({} if isinstance(SECTIONS[row.section], Profile) and isinstance(actual, dict) else actual)


@pytest.mark.parametrize("row", [row for row in rows() if row.example], ids=lambda row: f"{row.section}-{row.key}")
def test_example_of_a_key_loads(row: Row, tmp_path: Path) -> None:
    """The example beside a key has that key and loads."""
    example = yaml.safe_load(row.example)
    assert row.key in example
    if row.section.startswith("kill"):
        path = write(tmp_path, yaml.safe_dump(with_kill_example(row.section, example)))
        assert ("production",) == tuple(load(path, purpose="sidecar").sidecar.targets)
        return
    path = write(tmp_path, yaml.safe_dump(with_example(row.section, example)))
    assert ("K7SALES",) == tuple(load(path, purpose="serve").targets[0].applications)[:1]


def test_keys_without_an_example_are_explained_elsewhere() -> None:
    """Only the list of targets goes without an example of one line."""
    assert ["targets"] == [row.key for row in rows() if not row.example]


@pytest.mark.parametrize("example", re.findall(r"^```yaml\n(.*?)^```", REFERENCE, re.DOTALL | re.MULTILINE))
def test_example_loads(example: str, tmp_path: Path) -> None:
    """Every file shown loads, without a warning."""
    # The folder of what is written is the package's to make, not the test's.
    file = write(tmp_path, example.replace(": /var/lib/dumbella-exporter/", ": "))
    assert [] == warnings(load(file))


def test_every_link_leads_to_a_heading() -> None:
    """Every link within the reference leads to one of its headings."""
    headings = re.findall(r"^##+ (.*)$", REFERENCE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set() == set(re.findall(r"\]\(#([^)]+)\)", REFERENCE)) - anchors
