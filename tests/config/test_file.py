"""The configuration file: what loads, what does not and with which sentences, and what is never shown."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from exporter.config import (
    Auth,
    Config,
    ConfigError,
    Expectation,
    Global,
    HeaderFile,
    JobFilter,
    Limits,
    Purpose,
    Target,
    load,
    warnings,
)
from exporter.config.problems import keys_of
from exporter.config.profiles import Profile
from exporter.config.units import format_duration, format_size, parse_duration, parse_size

FIXTURES = Path(__file__).parent
GOOD = sorted((FIXTURES / "good").glob("*.yml"))
BAD = sorted((FIXTURES / "bad").glob("*.yml"))


def write(folder: Path, text: str) -> Path:
    """Write a configuration file into ``folder`` and return its path."""
    path = folder / "dumbella.yml"
    path.write_text(text, encoding="utf-8")
    return path


def named(path: Path, lines: tuple[str, ...] | list[str]) -> str:
    """Return the lines as a text in which the file goes by its name, not by its path."""
    return "".join(f"{line.replace(str(path), path.name, 1)}\n" for line in lines)


def problems_in(path: Path, purpose: Purpose = "all") -> list[str]:
    """Return the problems of a file without the file's name."""
    with pytest.raises(ConfigError) as caught:
        load(path, purpose=purpose)
    return [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]


def target(**settings: Any) -> Target:
    """Return a valid target with ``settings`` on top."""
    return Target(**{"name": "production", "url": "https://a.example.com", "applications": ("K7SALES",), **settings})


class TestFixtures:
    """Files that users may write, and exactly what they are told."""

    @pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
    def test_good_file_loads_with_its_warnings(self, path: Path) -> None:
        """A good file loads; what is unwise in it is said in the sentences beside it."""
        beside = path.with_suffix(".txt")
        expected = beside.read_text(encoding="utf-8") if beside.exists() else ""
        assert expected == named(path, warnings(load(path)))

    @pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
    def test_bad_file_is_refused_with_its_sentences(self, path: Path) -> None:
        """A bad file is refused with exactly the sentences beside it, all of them at once."""
        expected = path.with_suffix(".txt").read_text(encoding="utf-8")
        with pytest.raises(ConfigError) as caught:
            load(path)
        assert expected == named(path, caught.value.problems)

    @pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
    def test_sentences_show_no_secret_and_no_jargon(self, path: Path) -> None:
        """No sentence holds a secret of the file, pydantic's vocabulary, an address of its manual, or a second line."""
        with pytest.raises(ConfigError) as caught:
            load(path)
        text = str(caught.value)
        assert [] == re.findall(r"hunter2|pydantic|Input should|Value error|Traceback|input_type|PosixPath", text)
        assert len(caught.value.problems) == len(text.splitlines())

    def test_every_sentence_file_belongs_to_a_configuration(self) -> None:
        """No file of sentences is left over from a configuration that is gone."""
        texts = {path.with_suffix("") for path in FIXTURES.glob("*/*.txt")}
        assert set() == texts - {path.with_suffix("") for path in (*GOOD, *BAD)}

    def test_every_key_is_in_a_good_file(self) -> None:
        """The fixture that claims to hold every key of the exporter's own sections holds it."""
        text = (FIXTURES / "good" / "every-key.yml").read_text(encoding="utf-8")
        keys = {key for section in sections() if not in_profiles(section) for key in keys_of(section)}
        assert set() == {key for key in keys if not re.search(rf"\b{key}:", text)}


class TestFile:
    """The file itself."""

    def test_absent_file_is_named(self, tmp_path: Path) -> None:
        """A file that is not there is said to be absent."""
        assert ["there is no such file, expected a YAML file"] == problems_in(tmp_path / "absent.yml")

    def test_folder_is_no_file(self, tmp_path: Path) -> None:
        """A folder in place of the file is said to be one."""
        assert ["is a folder, expected a YAML file"] == problems_in(tmp_path)

    def test_file_below_a_file_is_unreadable(self, tmp_path: Path) -> None:
        """A path that leads through a file is refused with the system's reason."""
        below = write(tmp_path, "targets: []") / "dumbella.yml"
        assert ["cannot be read (Not a directory), expected a YAML file"] == problems_in(below)

    def test_byte_order_mark_is_ignored(self, tmp_path: Path) -> None:
        """A file saved with a byte order mark loads."""
        path = tmp_path / "dumbella.yml"
        path.write_bytes(b"\xef\xbb\xbf" + (FIXTURES / "good" / "minimal.yml").read_bytes())
        assert "production" == load(path).targets[0].name

    def test_deep_nesting_is_refused(self, tmp_path: Path) -> None:
        """Brackets without end are refused rather than followed."""
        problems = problems_in(write(tmp_path, f"targets: {'[' * 5000}"))
        assert ["is nested too deeply, expected a mapping of sections"] == problems

    def test_aliases_that_multiply_are_answered_at_once(self, tmp_path: Path) -> None:
        """A few aliases that stand for billions of values do not keep the loader busy."""
        levels = "\n".join(f"  - &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12))
        path = write(tmp_path, f"kill:\n x:\n  - &a0 [1]\n{levels}\ntargets: []\n")
        assert ["targets: holds no target, expected a list of at least one"] == problems_in(path, "serve")


class TestDefaults:
    """What holds when nothing is said."""

    def test_minimal_file_has_the_documented_defaults(self) -> None:
        """Three keys are enough; everything else has its default."""
        config = load(FIXTURES / "good" / "minimal.yml")
        (only,) = config.targets
        assert (15.0, 10.0, 60.0) == (config.global_.interval, config.global_.timeout, config.global_.stale_after)
        assert ("cockpit", Auth(), None, None) == (only.profile, only.auth, only.proxy_url, only.results)
        assert (10_000, 500, 67_108_864) == (only.limits.jobs, only.limits.executions, only.limits.response_bytes)
        assert (("*",), (), True) == (only.jobs.include, only.jobs.exclude, only.error_detail)
        assert ({}, (), None, {}) == (config.profiles, config.expectations, config.state_file, config.kill)

    @pytest.mark.parametrize(
        ("interval", "timeout", "stale_after"), [(5, 5, 60), (10, 10, 60), (15, 10, 60), (60, 10, 240)]
    )
    def test_unset_times_follow_the_interval(self, interval: float, timeout: float, stale_after: float) -> None:
        """An unset timeout never exceeds the interval, and an unset stale_after leaves room for failed reads."""
        times = Global(interval=interval)
        assert (timeout, stale_after) == (times.timeout, times.stale_after)

    def test_relative_paths_start_at_the_files_folder(self) -> None:
        """A relative path means a file beside the configuration, wherever the command was started."""
        auth = load(FIXTURES / "good" / "every-key.yml").targets[0].auth
        assert FIXTURES / "good" / "../files/token" == auth.bearer_token_file

    def test_nothing_is_expanded(self) -> None:
        """Dollar signs and tildes stand for themselves."""
        (only,) = load(FIXTURES / "good" / "nothing-is-expanded.yml").targets
        key = only.auth.headers["X-Api-Key"]
        assert isinstance(key, SecretStr)
        assert ("${API_KEY}", ("${JOB}_*", "~")) == (key.get_secret_value(), only.jobs.include)

    def test_trailing_slash_of_an_address_is_dropped(self) -> None:
        """Paths can be appended to an address as it is kept."""
        assert "https://apps.example.com/cockpit" == load(FIXTURES / "good" / "every-key.yml").targets[0].url


class TestStateFile:
    """Places that a state file cannot be written to, said before anybody misses it."""

    @pytest.mark.parametrize(
        ("state_file", "warning"),
        [
            ("state.json", None),
            (".", "is a folder, expected the path of a file"),
            ("missing/state.json", "is in {folder}/missing, which is no folder, expected one that exists"),
            ("file/state.json", "is in {folder}/file, which is no folder, expected one that exists"),
        ],
    )
    def test_warns_of_a_place_that_cannot_be_written_to(
        self, tmp_path: Path, state_file: str, warning: str | None
    ) -> None:
        """A folder in its place and a missing folder around it are warned of."""
        (tmp_path / "file").touch()
        config = Config(targets=(target(),), state_file=tmp_path / state_file)
        expected = [] if warning is None else [f"configuration: state_file: {warning.format(folder=tmp_path)}"]
        assert expected == warnings(config)


class TestUnits:
    """Durations and sizes as people write them."""

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("0", 0.0),
            ("0s", 0.0),
            ("500ms", 0.5),
            ("15s", 15.0),
            ("1m", 60.0),
            ("90m", 5400.0),
            ("1h30m", 5400.0),
            ("1d12h", 129_600.0),
            ("2w", 1_209_600.0),
            ("1y", 31_536_000.0),
            ("1h0m5s250ms", 3605.25),
        ],
    )
    def test_duration_means_seconds(self, text: str, seconds: float) -> None:
        """A duration is read as Prometheus reads it."""
        assert seconds == parse_duration(text)

    @pytest.mark.parametrize(
        "text", ["", "s", "1.5h", "1h 30m", "30m1h", "1m1m", "5M", "-5s", "+5s", "5", "\u0661s", "1s\n"]
    )
    def test_no_duration(self, text: str) -> None:
        """What Prometheus does not take for a duration is refused."""
        with pytest.raises(ValueError, match="expected a duration such as 500ms, 15s or 1h30m"):
            parse_duration(text)

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [(0, "0s"), (0.25, "250ms"), (15, "15s"), (60, "1m"), (5400, "1h30m"), (93_600, "1d2h"), (864_000, "10d")],
    )
    def test_seconds_are_written_as_a_duration(self, seconds: float, text: str) -> None:
        """A duration is written as a person would."""
        assert text == format_duration(seconds)

    @given(st.integers(0, 10**15))
    def test_durations_round_trip(self, milliseconds: int) -> None:
        """What is written for a duration reads as the same duration."""
        assert milliseconds == round(parse_duration(format_duration(milliseconds / 1000)) * 1000)

    @pytest.mark.parametrize(
        ("text", "size"),
        [("64MiB", 67_108_864), ("1GiB", 1_073_741_824), ("500kB", 500_000), ("1500", 1500), ("7 MB", 7_000_000)],
    )
    def test_size_means_bytes(self, text: str, size: int) -> None:
        """Binary units count by 1024, decimal ones by 1000, and none means bytes."""
        assert size == parse_size(text)

    @pytest.mark.parametrize("text", ["", "MiB", "1.5MiB", "64mib", "64M", "-1", "1TiB!", "\u0663kB"])
    def test_no_size(self, text: str) -> None:
        """What could mean several sizes, or none, is refused."""
        with pytest.raises(ValueError, match="expected a byte size such as 500kB, 64MiB or 1GiB"):
            parse_size(text)

    @given(st.integers(0, 10**14))
    def test_sizes_round_trip(self, size: int) -> None:
        """What is written for a size reads as the same size."""
        assert size == parse_size(format_size(size))

    def test_models_built_in_code_take_seconds_and_bytes(self) -> None:
        """Code needs no units."""
        assert (0.2, 1000) == (Global(interval=0.2).interval, Limits(response_bytes=1000).response_bytes)


class TestSecretFiles:
    """Which files a command opens."""

    SHARED = """
targets:
  - {name: production, url: "https://a.example.com", applications: [K7SALES], auth: {bearer_token_file: absent}}
  - {name: development, url: "https://b.example.com", applications: [K7SALES], auth: {cookie_file: absent}}
  - {name: test, url: "https://c.example.com", applications: [K7SALES], auth: {headers: {X-Key: {file: absent}}}}
"""
    EVERYONE = (
        "targets[0].auth.bearer_token_file",
        "targets[1].auth.cookie_file",
        "targets[2].auth.headers.X-Key.file",
    )

    @staticmethod
    def opened(path: Path, purpose: Purpose) -> tuple[str, ...]:
        """Return the keys of the targets' absent files that were to be opened."""
        with pytest.raises(ConfigError) as caught:
            load(path, purpose=purpose)
        keys = [problem.removeprefix(f"{path}: ").partition(":")[0] for problem in caught.value.problems]
        return tuple(key for key in keys if key.startswith("targets"))

    @pytest.mark.parametrize("purpose", ["serve", "sidecar", "all"])
    def test_without_a_kill_section_every_command_reads_with_the_targets_credential(
        self, tmp_path: Path, purpose: Purpose
    ) -> None:
        """Whoever has no credential of its own needs the target's."""
        assert self.EVERYONE == self.opened(write(tmp_path, self.SHARED), purpose)

    @pytest.mark.parametrize(
        ("kill", "opened"),
        [
            ("{production: {bearer_token_file: own}, development: {}, test: {csrf: none}}", EVERYONE[1:]),
            ("{production: {cookie_file: own}, development: {headers: {X-Key: x}}}", ()),
            ("{test: }", EVERYONE[2:]),
        ],
    )
    def test_sidecar_leaves_credentials_closed_that_it_does_not_need(
        self, tmp_path: Path, kill: str, opened: tuple[str, ...]
    ) -> None:
        """The sidecar opens a target's credential only where it serves the target and has none of its own."""
        rest = "public_url: http://localhost:9878, audit: {file: audit.jsonl}"
        path = write(tmp_path, f"{self.SHARED}kill: {{{rest}, targets: {kill}}}\n")
        assert (opened, self.EVERYONE) == (self.opened(path, "sidecar"), self.opened(path, "serve"))

    def test_exporter_never_opens_the_kill_credential(self, tmp_path: Path) -> None:
        """The kill credential may be absent or unreadable where only the exporter runs."""
        text = (FIXTURES / "good" / "minimal.yml").read_text(encoding="utf-8")
        path = write(tmp_path, f"{text}kill: {{targets: {{production: {{bearer_token_file: /absent/kill}}}}}}\n")
        assert {"production": {"bearer_token_file": "/absent/kill"}} == load(path, purpose="serve").kill["targets"]

    def test_a_token_in_place_of_a_file_name_is_not_shown(self, tmp_path: Path) -> None:
        """Whoever pastes the token itself does not find it in the log."""
        path = write(tmp_path, self.SHARED.replace("absent", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2VjcmV0"))
        assert [] == [problem for problem in problems_in(path) if "eyJ" in problem]

    def test_an_absolute_path_is_shown(self, tmp_path: Path) -> None:
        """A path that cannot be a token is named."""
        path = write(tmp_path, self.SHARED.replace("absent", "/run/secrets/absent-key"))
        expected = (
            "targets[0].auth.bearer_token_file: the file /run/secrets/absent-key does not exist, expected a readable"
            " file with nothing but the credential in it"
        )
        assert expected == problems_in(path)[0]


class TestMasking:
    """Nothing that shows a configuration shows a secret."""

    SECRETS = ("blue", "a-password", "reader", "a-token-for-tests", "JSESSIONID", "dry_run", "5e88489")

    def test_no_repr_shows_a_secret(self) -> None:
        """Neither the configuration nor any part of it shows a secret in its repr."""
        config = load(FIXTURES / "good" / "every-key.yml")
        (auth, proxy_url) = (config.targets[0].auth, config.targets[0].proxy_url)
        text = "".join(repr(part) + str(part) for part in (config, *config.targets, auth, proxy_url, config.kill))
        assert [] == [secret for secret in self.SECRETS if secret in text]

    def test_masked_configuration_shows_no_secret(self) -> None:
        """The page of the effective configuration shows where secrets are, not what they are."""
        masked = load(FIXTURES / "good" / "every-key.yml").masked()
        assert [] == [secret for secret in self.SECRETS if secret in masked]
        assert "http://<secret>@proxy.example.com:3128" == yaml.safe_load(masked)["targets"][0]["proxy_url"]

    @pytest.mark.parametrize(
        "key", ["url", "proxy_url", "auth", "bearer_token_file", "cookie_file", "headers", "X-Key"]
    )
    @pytest.mark.parametrize(
        "value",
        [
            "hunter2",
            "hunter2\n",
            "hunter2é",
            ["hunter2"],
            {"X-Key": ["hunter2"]},
            {"file": "hunter2"},
            "https://reader:hunter2@a.example.com",
            "https://a.example.com/?token=hunter2",
            "https://a.example.com:hunter2",
            "hunter2://a.example.com",
        ],
    )
    def test_wrong_value_is_not_shown_where_secrets_belong(self, tmp_path: Path, key: str, value: Any) -> None:
        """Whatever is wrong with a value that may be a secret, it appears neither in a sentence nor on a page."""
        above = {"X-Key": ["auth", "headers"], "url": [], "proxy_url": [], "auth": []}.get(key, ["auth"])
        section: Any = {key: value}
        for name in reversed(above):
            section = {name: section}
        valid = {"name": "production", "url": "https://a.example.com", "applications": ["K7SALES"]}
        path = write(tmp_path, yaml.safe_dump({"targets": [valid | section]}))
        try:
            config = load(path)
        except ConfigError as error:
            shown = str(error)
        else:
            shown = repr(config) + config.masked()
        assert "hunter2" not in shown

    def test_masked_configuration_fills_in_defaults(self) -> None:
        """The effective configuration shows every default, durations and sizes in their units."""
        masked = load(FIXTURES / "good" / "minimal.yml").masked()
        expected = {
            "global": {"interval": "15s", "timeout": "10s", "stale_after": "1m"},
            "targets": [
                {
                    "name": "production",
                    "url": "https://apps.example.com/cockpit",
                    "profile": "cockpit",
                    "applications": ["K7SALES"],
                    "auth": {"headers": {}},
                    "tls": {"insecure_skip_verify": False},
                    "jobs": {"include": ["*"], "exclude": []},
                    "limits": {"jobs": 10000, "executions": 500, "response_bytes": "64MiB"},
                    "error_detail": True,
                }
            ],
            "profiles": {},
            "expectations": [],
            "kill": {},
        }
        assert expected == yaml.safe_load(masked)

    @pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
    def test_masked_configuration_loads_back(self, path: Path, tmp_path: Path) -> None:
        """The effective configuration means the same as the file that it came from, but for the masks."""
        config = load(path)
        masked = config.masked()
        again = load(write(tmp_path, masked.replace("kill: <secret>", "kill: {}").replace("<secret>@", "")))
        assert masked.replace("<secret>@", "").replace("kill: <secret>", "kill: {}") == again.masked()
        assert config.profiles == again.profiles

    def test_kill_section_is_read_for_the_sidecar_only(self) -> None:
        """The sidecar finds its section as a model, the exporter only knows that there is one."""
        path = FIXTURES / "good" / "every-key.yml"
        assert "dry_run" == load(path, purpose="sidecar").sidecar.mode
        with pytest.raises(LookupError, match="was not read for the sidecar"):
            _ = load(path, purpose="serve").sidecar


class TestHeaders:
    """Request headers of a target."""

    def test_header_value_is_text_or_a_file(self) -> None:
        """A header's value stands in the configuration, masked, or in a file of its own."""
        headers = load(FIXTURES / "good" / "every-key.yml").targets[0].auth.headers
        tenant, key = headers["X-Tenant"], headers["X-Api-Key"]
        assert isinstance(tenant, SecretStr)
        assert isinstance(key, HeaderFile)
        assert ("blue", FIXTURES / "good" / "../files/token") == (tenant.get_secret_value(), key.file)

    @pytest.mark.parametrize(
        ("auth", "configured"),
        [
            (Auth(), False),
            (Auth(bearer_token_file=Path("x")), True),
            (Auth.model_validate({"headers": {"X": "y"}}), True),
        ],
    )
    def test_any_way_of_authentication_counts(self, auth: Auth, configured: bool) -> None:
        """A target counts as authenticated when requests carry anything."""
        assert configured == auth.configured


class TestJobFilter:
    """Which jobs are shown."""

    @pytest.mark.parametrize(
        ("include", "exclude", "job_name", "admitted"),
        [
            (("*",), (), "etl_0.1", True),
            (("*",), ("tmp_*",), "tmp_load_0.1", False),
            (("etl_*", "nightly_*"), (), "nightly_close_0.1", True),
            (("etl_*",), (), "hourly_0.1", False),
            (("etl_*",), (), "ETL_0.1", False),
            (("etl_?.[0-9]",), (), "etl_0.1", True),
            (("*",), ("*",), "etl_0.1", False),
            (("*",), (), "two\nlines", True),
            (("etl",), (), "etl_0.1", False),
        ],
    )
    def test_admits(self, include: tuple[str, ...], exclude: tuple[str, ...], job_name: str, admitted: bool) -> None:
        """A job is shown when one of include matches its whole name, with its case, and none of exclude does."""
        assert admitted == JobFilter(include=include, exclude=exclude).admits(job_name)


class TestExpectations:
    """Which expectation holds for a job."""

    CONFIG = Config(
        targets=(target(),),
        expectations=(
            Expectation(target="prod*", application="K7SALES", job="nightly_close_*", max_runtime=60),
            Expectation(job="nightly_*", success_every=3600),
            Expectation(application="M2*", max_runtime=10),
        ),
    )

    @pytest.mark.parametrize(
        ("place", "position"),
        [
            (("production", "K7SALES", "nightly_close_0.1"), 0),
            (("test", "K7SALES", "nightly_close_0.1"), 1),
            (("production", "M2STOCK", "nightly_load_0.1"), 1),
            (("production", "M2STOCK", "hourly_0.1"), 2),
            (("production", "M2STOCK", "NIGHTLY_load_0.1"), 2),
        ],
    )
    def test_first_match_wins(self, place: tuple[str, str, str], position: int) -> None:
        """The first expectation whose globs all match holds."""
        assert self.CONFIG.expectations[position] == self.CONFIG.expectation(*place)

    def test_no_match_expects_nothing(self) -> None:
        """A job that no expectation matches has none."""
        assert None is self.CONFIG.expectation("production", "K7SALES", "hourly_0.1")

    def test_globs_with_groups_of_their_own_do_not_shift_the_match(self) -> None:
        """Brackets and parentheses in a glob leave the order of the expectations alone."""
        config = Config(
            expectations=(Expectation(job="a(b)*[xy]*", max_runtime=1), Expectation(job="c*", max_runtime=2))
        )
        assert config.expectations[1] == config.expectation("t", "a", "cd")
        assert config.expectations[0] == config.expectation("t", "a", "a(b)1x2")

    def test_without_expectations_nothing_matches(self) -> None:
        """No expectations are no expectation."""
        assert None is Config().expectation("production", "K7SALES", "hourly_0.1")

    def test_many_jobs_find_their_rules(self) -> None:
        """Each of 10,000 jobs finds its own one of 100 rules, the first time and from then on."""
        config = Config(expectations=tuple(Expectation(job=f"job_{n}_*", max_runtime=n + 1) for n in range(100)))
        names = [(n % 200, f"job_{n % 200}_{n}_0.1") for n in range(10_000)]
        expected = [config.expectations[n] if n < 100 else None for n, _ in names]
        for _ in range(2):
            assert expected == [config.expectation("production", "K7SALES", name) for _, name in names]


class TestProfiles:
    """Profiles of a target."""

    def test_target_gets_everything_its_profile_extends(self) -> None:
        """A custom profile is folded into the ones that it extends."""
        config = load(FIXTURES / "good" / "every-key.yml")
        profile = config.profile(config.targets[0])
        assert ("Europe/Rome", "payload.rows", 200) == (
            profile.dates.time_zone,
            profile.items.jobs,
            profile.paging.page_size,
        )
        assert "/api/rest/application/{application}/services/jobs" == profile.paths.jobs


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.dates(), st.binary(max_size=5), st.text(max_size=10)
)
words = st.sampled_from(
    ["production", "15s", "discover", "cockpit", "ours", "https://a.example.com", "*", "K7SALES", "64MiB", "x\n", ""]
)
values = st.recursive(
    scalars | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6) | scalars, inner, max_size=4),
    max_leaves=10,
)


def sections() -> list[type[BaseModel]]:
    """Return every model that the configuration consists of."""
    found: list[type[BaseModel]] = []

    def visit(annotation: Any) -> None:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in found:
            found.append(annotation)
            for field in annotation.model_fields.values():
                visit(field.annotation)
        for argument in getattr(annotation, "__args__", ()):
            visit(argument)

    visit(Config)
    return [*found, HeaderFile] if HeaderFile not in found else found


def in_profiles(section: type[BaseModel]) -> bool:
    """Tell whether a section belongs to a profile."""
    return section.__module__ == Profile.__module__


keys = st.sampled_from(sorted({key for section in sections() for key in keys_of(section)}))
plausible = st.recursive(
    scalars | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | st.text(max_size=4), inner, max_size=6),
    max_leaves=25,
)


class TestAnyDocument:
    """Whatever stands in the file."""

    @staticmethod
    def assert_loads_or_explains(folder: Path, document: Any) -> None:
        """Load a document; expect a configuration or sentences, each on one line."""
        path = write(folder, yaml.safe_dump(document))
        lines: tuple[str, ...] = ()
        try:
            config = load(path)
        except ConfigError as error:
            lines = error.problems
        else:
            lines = (*warnings(config), f"{path}: {len(config.masked())}")
        assert lines
        assert len(lines) == len("\n".join(lines).splitlines())
        assert [] == [line for line in lines if not line.startswith(f"{path}: ")]

    @given(document=values)
    def test_any_document_loads_or_is_explained(self, tmp_path_factory: pytest.TempPathFactory, document: Any) -> None:
        """Any YAML document loads or is refused with at least one sentence."""
        self.assert_loads_or_explains(tmp_path_factory.getbasetemp(), document)

    @given(document=st.dictionaries(keys, plausible))
    def test_any_document_with_our_keys_loads_or_is_explained(
        self, tmp_path_factory: pytest.TempPathFactory, document: Any
    ) -> None:
        """Known keys in unexpected places, with unexpected values, load or are refused with sentences."""
        self.assert_loads_or_explains(tmp_path_factory.getbasetemp(), document)

    @given(
        section=st.sampled_from(
            ["auth", "tls", "results", "jobs", "limits", "proxy_url", "profile", "applications", "url", "name"]
        ),
        content=plausible,
        profile=plausible,
        expectation=plausible,
        times=plausible,
    )
    def test_any_section_loads_or_is_explained(
        self, tmp_path_factory: pytest.TempPathFactory, section: str, **parts: Any
    ) -> None:
        """Any content of any section, beside a valid rest, loads or is refused with sentences."""
        document = {
            "global": parts["times"],
            "targets": [
                {"name": "a", "url": "https://a.example.com", "applications": ["K7SALES"], section: parts["content"]}
            ],
            "profiles": {"ours": parts["profile"]},
            "expectations": [parts["expectation"]],
        }
        for left_out in itertools.chain([()], [("global",), ("profiles",), ("expectations",)]):
            rest = {key: value for key, value in document.items() if key not in left_out}
            self.assert_loads_or_explains(tmp_path_factory.getbasetemp(), rest)

    @given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
    def test_any_text_loads_or_is_explained(self, tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
        """Any text at all is refused with sentences, since it names no target."""
        path = write(tmp_path_factory.getbasetemp(), text)
        assert problems_in(path)
