"""What the files of the stack say, as Docker Compose reads them: no engine is needed for that."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

import exporter
from exporter.config import load
from tests.containers.compose import Compose
from tests.containers.engine import ROOT, NoEngineError, clients, unpacked_path
from tests.containers.images import pinned
from tests.parts import missing

#: The third-party services by the user that their images come with.
USERS = {"prometheus": "65534:65534", "alertmanager": "65534:65534", "grafana": "472:0"}
COCKPIT = ("docker-compose.yml", "deploy/compose/cockpit.yml")
#: What the own Cockpit needs, as somebody would set it.
VARIABLES = {
    "DUMBELLA_CONFIG": "deploy/compose/dumbella.yml",
    "COCKPIT_TOKEN_FILE": "deploy/compose/demo-token",
    "GRAFANA_ADMIN_PASSWORD": "a password of one's own",
}


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The variables with which Docker Compose is found."""
    try:
        return clients(unpacked_path(), tmp_path_factory.mktemp("clients"))
    except NoEngineError as error:
        missing(str(error))


@pytest.fixture(scope="module")
def stack(docker: Mapping[str, str]) -> dict[str, Any]:
    """The shipped stack as Docker Compose understands it."""
    return Compose(docker).model()


@pytest.fixture(scope="module")
def cockpit(docker: Mapping[str, str]) -> dict[str, Any]:
    """The stack with a Cockpit of one's own."""
    return Compose(docker, COCKPIT, VARIABLES).model()


class TestImages:
    """Every image is named in .env, by a version."""

    def test_each_has_a_version(self) -> None:
        """No image moves on its own."""
        versions = {name: image.partition(":")[2] for name, image in pinned().items()}
        assert {} == {name: tag for name, tag in versions.items() if not re.match(r"v?\d+\.\d+\.\d+", tag)}

    def test_the_stack_uses_them_all(self, stack: dict[str, Any]) -> None:
        """Each line of .env is an image of the stack, or the base of one, and there are no others."""
        services = stack["services"].values()
        used = {service["image"] for service in services}
        used |= {image for service in services for image in service.get("build", {}).get("args", {}).values()}
        assert set(pinned().values()) == used

    def test_its_own_is_the_package_s_version(self) -> None:
        """The image is called by the version of what is in it."""
        assert f"dumbella-exporter:{exporter.__version__}" == pinned()["DUMBELLA_EXPORTER_IMAGE"]

    def test_the_dockerfile_s_base(self) -> None:
        """Built without an argument, the image stands on the same base."""
        (base,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
        assert pinned()["PYTHON_IMAGE"] == base

    def test_nothing_else_names_another(self) -> None:
        """Every image in the manifests is one of them."""
        files = [*(ROOT / "deploy").rglob("*.yml"), *(ROOT / "deploy").rglob("*.yaml")]
        named = {
            image for file in files for image in re.findall(r"^\s*-?\s*image: (\S+)", file.read_text(), re.MULTILINE)
        }
        assert set() == named - set(pinned().values())


class TestHardening:
    """What a service may do is little, and written down."""

    def test_nothing_can_be_written_or_gained(self, stack: dict[str, Any]) -> None:
        """Every service has a read-only root, no capability, and no way to new privileges."""
        allowed = {
            name: (service.get("read_only"), service.get("cap_drop"), service.get("security_opt"))
            for name, service in stack["services"].items()
        }
        assert dict.fromkeys(stack["services"], (True, ["ALL"], ["no-new-privileges:true"])) == allowed
        extra = {"privileged", "cap_add", "devices", "pid", "ipc", "network_mode", "userns_mode"}
        assert [] == [name for name, service in stack["services"].items() if extra & service.keys()]

    def test_nobody_is_root(self, stack: dict[str, Any]) -> None:
        """The images of others run as the users that they were made for; ours brings its own."""
        users = {name: service["user"] for name, service in stack["services"].items() if "user" in service}
        assert USERS == users
        (own,) = re.findall(r"^USER (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", own)

    def test_everything_has_an_end(self, stack: dict[str, Any]) -> None:
        """Processor, memory, processes and logs are limited."""
        for name, service in stack["services"].items():
            assert {"cpus", "memory", "pids"} == service["deploy"]["resources"]["limits"].keys(), name
            assert {"max-size", "max-file"} == service["logging"]["options"].keys(), name

    def test_mounts_cannot_be_written(self, stack: dict[str, Any]) -> None:
        """Only named volumes take anything, and only of this machine's files what is in the checkout is seen."""
        for service in stack["services"].values():
            for mount in service.get("volumes", []):
                bound = mount["type"] == "bind"
                assert bound == mount.get("read_only", False), mount
                assert not bound or Path(mount["source"]).is_relative_to(ROOT), mount

    @pytest.mark.parametrize("which", ["stack", "cockpit"])
    def test_only_this_machine_is_served(self, which: str, request: pytest.FixtureRequest) -> None:
        """Every port is published to the loopback interface."""
        services: Mapping[str, Any] = request.getfixturevalue(which)["services"]
        ports = [port for service in services.values() for port in service.get("ports", [])]
        assert {"127.0.0.1"} == {port["host_ip"] for port in ports}


class TestParts:
    """The files that the stack is made of fit together."""

    @pytest.mark.parametrize("which", ["stack", "cockpit"])
    def test_what_is_mounted_exists(self, which: str, request: pytest.FixtureRequest) -> None:
        """No path leads nowhere, where Docker would make a folder in its place."""
        model: Mapping[str, Any] = request.getfixturevalue(which)
        files = [part["file"] for kind in ("configs", "secrets") for part in model[kind].values()]
        assert [] == [file for file in files if not Path(file).is_file()]
        mounts = [mount for service in model["services"].values() for mount in service.get("volumes", [])]
        folders = [mount["source"] for mount in mounts if mount["type"] == "bind"]
        assert [] == [folder for folder in folders if not Path(folder).is_dir()]

    def test_the_configuration_is_good(self, tmp_path: Path) -> None:
        """Exporter and sidecar understand the stack's configuration, once its secrets are there."""
        secrets = tmp_path / "secrets"
        secrets.mkdir()
        for name in ("cockpit-token", "cockpit-kill-token"):
            (secrets / name).write_text((ROOT / "deploy/compose/demo-token").read_text())
        file = tmp_path / "dumbella.yml"
        file.write_text((ROOT / "deploy/compose/dumbella.yml").read_text().replace("/run/secrets", str(secrets)))
        for purpose in ("serve", "sidecar"):
            assert ["demo"] == [target.name for target in load(file, purpose=purpose).targets]

    def test_the_sidecar_shares_grafana_s_host_name(self, stack: dict[str, Any]) -> None:
        """Browsers send Grafana's cookie to the sidecar, which is called as it is published."""
        kill = yaml.safe_load((ROOT / "deploy/compose/dumbella.yml").read_text())["kill"]
        addresses = {name: urlsplit(kill[key]) for name, key in (("sidecar", "public_url"), ("grafana", "grafana_url"))}
        assert {"localhost"} == {address.hostname for address in addresses.values()}
        for name, address in addresses.items():
            assert [(str(address.port), address.port)] == published(stack, name)
        assert kill["grafana_url"] == stack["services"]["grafana"]["environment"]["GF_SERVER_ROOT_URL"]

    def test_prometheus_scrapes_services(self, stack: dict[str, Any]) -> None:
        """Whatever Prometheus is told to ask is a service of the stack, at the port that it listens on."""
        prometheus = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
        groups = [group for job in prometheus["scrape_configs"] for group in job.get("static_configs", [])]
        groups += yaml.safe_load((ROOT / "deploy/prometheus/targets/dumbella.yml").read_text())
        groups += [group for one in prometheus["alerting"]["alertmanagers"] for group in one["static_configs"]]
        asked = [target.split(":") for group in groups for target in group["targets"]]
        assert {"exporter", "sidecar", "simulator", "alertmanager"} == {name for name, _ in asked}
        assert [] == [name for name, port in asked if int(port) not in [inside for _, inside in published(stack, name)]]

    def test_grafana_knows_how_often_prometheus_scrapes(self) -> None:
        """Rates are drawn over the interval that the stack has."""
        prometheus = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
        provisioned = ROOT / "dashboards/provisioning/datasources/prometheus.yml"
        (source,) = yaml.safe_load(provisioned.read_text())["datasources"]
        assert prometheus["global"]["scrape_interval"] == source["jsonData"]["timeInterval"]

    def test_alerts_take_the_routes_of_the_example(self) -> None:
        """Only where the routes lead is different: to receivers that tell nobody."""
        stack, example = (
            yaml.safe_load((ROOT / file).read_text())
            for file in ("deploy/compose/alertmanager.yml", "alerts/alertmanager.yml")
        )
        assert example["receivers"] != stack["receivers"]
        example["receivers"] = [{"name": receiver["name"]} for receiver in example["receivers"]]
        del example["templates"]
        assert example == stack

    def test_everything_waits_for_what_it_needs(self, stack: dict[str, Any]) -> None:
        """Whoever is waited for has a health check, or an end."""
        services = stack["services"]
        for name, service in services.items():
            for needed, condition in service.get("depends_on", {}).items():
                checked = "test" in services[needed].get("healthcheck", {})
                expected = "service_healthy" if checked else "service_completed_successfully"
                assert expected == condition["condition"], (name, needed)


class TestOwnCockpit:
    """The stack without the simulator."""

    def test_the_simulator_is_gone(self, stack: dict[str, Any], cockpit: dict[str, Any]) -> None:
        """Neither the simulator nor the demo's editor is left, and nobody waits for them."""
        assert {"simulator", "editor"} == stack["services"].keys() - cockpit["services"].keys()
        waited = [service.get("depends_on", {}) for service in cockpit["services"].values()]
        assert {"exporter", "alertmanager"} == {name for needed in waited for name in needed}

    def test_its_files_are_mounted(self, docker: Mapping[str, str], tmp_path: Path) -> None:
        """Configuration, both keys and Dumbella's addresses are those that the variables name."""
        variables = {
            "DUMBELLA_CONFIG": str(tmp_path / "dumbella.yml"),
            "COCKPIT_TOKEN_FILE": str(tmp_path / "key"),
            "COCKPIT_KILL_TOKEN_FILE": str(tmp_path / "kill-key"),
            "DUMBELLA_ADDRESSES": str(tmp_path / "addresses.yml"),
            "GRAFANA_ADMIN_PASSWORD": "mine",
        }
        model = Compose(docker, COCKPIT, variables).model()
        configs, secrets = (
            {name: part["file"] for name, part in model[kind].items()} for kind in ("configs", "secrets")
        )
        assert variables["DUMBELLA_CONFIG"] == configs["dumbella"]
        assert variables["DUMBELLA_ADDRESSES"] == configs["dumbella-addresses"]
        assert {
            "cockpit-token": variables["COCKPIT_TOKEN_FILE"],
            "cockpit-kill-token": variables["COCKPIT_KILL_TOKEN_FILE"],
        } == secrets
        assert "mine" == model["services"]["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD"]

    def test_one_key_will_do(self, cockpit: dict[str, Any]) -> None:
        """Without a key of its own the sidecar gets the exporter's."""
        assert [str(ROOT / VARIABLES["COCKPIT_TOKEN_FILE"])] * 2 == [
            part["file"] for part in cockpit["secrets"].values()
        ]

    @pytest.mark.parametrize("absent", list(VARIABLES))
    def test_a_variable_that_is_missing(self, docker: Mapping[str, str], absent: str) -> None:
        """It is named; the demo's password and files are never taken in its place."""
        variables = {name: value for name, value in VARIABLES.items() if name != absent}
        answer = Compose(docker, COCKPIT, variables).run("config", "--quiet")
        assert 0 != answer.returncode
        assert f"required variable {absent} is missing a value: set it to" in answer.stderr


def test_the_variables_are_documented() -> None:
    """docs/deployment.md names every variable that the stack takes, and every image's."""
    files = [ROOT / file for file in COCKPIT]
    taken = {name for file in files for name in re.findall(r"\$\{([A-Z_]+)", file.read_text())} - pinned().keys()
    named = set(re.findall(r"`([A-Z_]+)`", (ROOT / "docs/deployment.md").read_text()))
    assert set() == taken - named


def published(stack: Mapping[str, Any], service: str) -> list[tuple[str, int]]:
    """Return the ports of a service: on this machine, and inside."""
    return [(port["published"], port["target"]) for port in stack["services"][service].get("ports", [])]
