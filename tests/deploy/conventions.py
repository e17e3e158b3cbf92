"""What has to hold between Kubernetes objects, and what schemas cannot tell, as checks of rendered manifests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import yaml

from tests.deploy.manifests import (
    Manifest,
    configuration,
    container,
    flag,
    mounted,
    mounts,
    name,
    named,
    of_kind,
    pod,
    selects,
)

#: Scrape jobs that rules and dashboards look for, with the flag's default of the address that each listens on.
LISTEN_ADDRESSES = {"dumbella-exporter": ":9877", "dumbella-sidecar": "127.0.0.1:9878"}
#: The Secret that each pod may see, and no other one.
SECRETS = {"dumbella-exporter": "dumbella-exporter", "dumbella-sidecar": "dumbella-sidecar"}
#: Volumes that are needed here; the restricted Pod Security Standard allows a few more.
_VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}
#: Where the selector of each kind of companion stands.
_SELECTORS = {
    "Service": ("spec", "selector"),
    "PodDisruptionBudget": ("spec", "selector", "matchLabels"),
    "NetworkPolicy": ("spec", "podSelector", "matchLabels"),
}
_CONFINED = {
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
#: Bytes that ``kubectl apply`` can keep in the annotation that it writes.
_APPLIED = 256 * 1024


def problems(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Yield what is wrong, a sentence each."""
    deployments = of_kind(manifests, "Deployment")
    for deployment in deployments:
        for check in _OF_DEPLOYMENTS:
            yield from (f"{name(deployment)}: {problem}" for problem in check(deployment, manifests))
    for service in of_kind(manifests, "Service"):
        yield from (f"Service {name(service)}: {problem}" for problem in _of_service(service, deployments))
    for policy in of_kind(manifests, "NetworkPolicy"):
        yield from (f"NetworkPolicy {name(policy)}: {problem}" for problem in _of_policy(policy, deployments))
    for monitor in of_kind(manifests, "ServiceMonitor"):
        yield from (f"ServiceMonitor {name(monitor)}: {problem}" for problem in _of_monitor(monitor, manifests))
    for ingress in of_kind(manifests, "Ingress"):
        yield from (f"Ingress {name(ingress)}: {problem}" for problem in _of_ingress(ingress, manifests))
    yield from _of_config_maps(manifests)


def _of_pods(deployment: Manifest, manifests: Sequence[Manifest]) -> Iterator[str]:
    selector = deployment["spec"]["selector"]["matchLabels"]
    for other in of_kind(manifests, "Deployment"):
        if selects(selector, pod(other)) != (other is deployment):
            yield f"its selector {'misses its own' if other is deployment else 'takes the other'} pods"
    if pod(deployment)["metadata"]["labels"].get("app.kubernetes.io/name") not in LISTEN_ADDRESSES:
        yield "its pods have no name that rules and dashboards look for"


def _of_restrictions(deployment: Manifest, _: Sequence[Manifest]) -> Iterator[str]:
    """The restricted Pod Security Standard, and a read-only root."""
    spec = pod(deployment)["spec"]
    for shared in ("hostNetwork", "hostPID", "hostIPC", "initContainers", "ephemeralContainers"):
        if spec.get(shared):
            yield f"it has {shared}"
    for volume in spec["volumes"]:
        if forbidden := volume.keys() - {"name"} - _VOLUMES:
            yield f"it has volumes of type {', '.join(forbidden)}"
    context = spec.get("securityContext", {}) | container(deployment).get("securityContext", {})
    for key, value in _CONFINED.items():
        if context.get(key) != value:
            yield f"{key} is {context.get(key)}, expected {value}"
    if not context.get("runAsUser"):
        yield "runAsUser is not a number other than root's"
    for more in context.keys() & {"privileged", "procMount", "sysctls", "supplementalGroups"}:
        yield f"it asks for {more}"


def _of_resources(deployment: Manifest, _: Sequence[Manifest]) -> Iterator[str]:
    resources = container(deployment).get("resources", {})
    if "memory" not in resources.get("limits", {}):
        yield "its memory is not limited"
    if resources.get("requests", {}).keys() != {"cpu", "memory"}:
        yield "it does not say what it needs"
    if any("hostPort" in port for port in container(deployment)["ports"]):
        yield "it takes a port of its node"


def _of_probes(deployment: Manifest, _: Sequence[Manifest]) -> Iterator[str]:
    only = container(deployment)
    ports = {port["name"]: port["containerPort"] for port in only["ports"]}
    for probe, path in (("livenessProbe", "/-/healthy"), ("readinessProbe", "/-/ready")):
        asked = only.get(probe, {}).get("httpGet", {})
        if asked.get("path") != path or asked.get("port") not in ports:
            yield f"its {probe} does not ask {path} at a port of its own by name"
    address = flag(deployment, "--web.listen-address", LISTEN_ADDRESSES[name(deployment)])
    if address not in {f":{port}" for port in ports.values()}:
        yield f"it listens on {address}, its ports are {ports}"


def _of_accounts(deployment: Manifest, manifests: Sequence[Manifest]) -> Iterator[str]:
    spec = pod(deployment)["spec"]
    accounts = {name(account): account for account in of_kind(manifests, "ServiceAccount")}
    account = accounts.get(spec.get("serviceAccountName"))
    if account is None:
        yield "it has no ServiceAccount of its own"
    elif account.get("automountServiceAccountToken") is not False:
        yield "its ServiceAccount's token is mounted"
    if spec.get("automountServiceAccountToken") is not False:
        yield "a ServiceAccount's token is mounted"


def _of_volumes(deployment: Manifest, manifests: Sequence[Manifest]) -> Iterator[str]:
    """Its configuration is where it is told to look, and what it writes is on a volume that lasts."""
    try:
        content = yaml.safe_load(configuration(manifests, deployment))
    except (KeyError, ValueError) as error:
        yield f"no configuration where --config.file says: {error}"
        return
    folder, claim = mounted(deployment, "persistentVolumeClaim")
    if claim["claimName"] not in {name(each) for each in of_kind(manifests, "PersistentVolumeClaim")}:
        yield f"there is no claim {claim['claimName']}"
    written = content.get("state_file") or content["kill"]["audit"]["file"]
    if PurePosixPath(written).parent != folder:
        yield f"{written} is not on the volume at {folder}"
    # A volume for one node: the new pod would wait for ever for what the old one holds.
    if deployment["spec"]["strategy"] != {"type": "Recreate"} or deployment["spec"]["replicas"] != 1:
        yield "its volume would be wanted twice"


def _of_secrets(deployment: Manifest, manifests: Sequence[Manifest]) -> Iterator[str]:
    try:
        files = secret_files(manifests, deployment)
    except (KeyError, ValueError):
        return  # The check of the volumes says so.
    seen = [volume["secret"]["secretName"] for _, volume in mounts(deployment) if "secret" in volume]
    if seen != [SECRETS[name(deployment)]]:
        yield f"it sees the Secrets {seen}"
        return
    folder, secret = mounted(deployment, "secret")
    if secret.get("defaultMode") != 0o440 or "fsGroup" not in pod(deployment)["spec"]["securityContext"]:
        yield "its secrets can be read by others than its group, or not by it"
    if container(deployment).keys() & {"env", "envFrom"}:
        yield "it has an environment, which everything in the pod can read"
    for file in files:
        if file.parent != folder:
            yield f"{file} is not in the Secret at {folder}"
    if of_kind(manifests, "Secret"):
        yield "secrets stand in the manifests"


def secret_files(manifests: Sequence[Manifest], deployment: Manifest) -> list[PurePosixPath]:
    """Return the files that a Deployment's configuration and arguments expect in its Secret."""
    files = [*_files(yaml.safe_load(configuration(manifests, deployment)))]
    if web := flag(deployment, "--web.config.file", ""):
        files.append(web)
    return [PurePosixPath(file) for file in files]


def _files(content: Any) -> Iterator[str]:
    """Yield the files that hold secrets, wherever they stand in a configuration."""
    if isinstance(content, dict):
        for key, value in content.items():
            if str(key).endswith("_file") and key != "state_file":
                yield value
            else:
                yield from _files(value)
    elif isinstance(content, list):
        for value in content:
            yield from _files(value)


def _of_companions(deployment: Manifest, manifests: Sequence[Manifest]) -> Iterator[str]:
    """Each has exactly one Service, one budget, and one network policy."""
    for kind, path in _SELECTORS.items():
        found = [name(each) for each in of_kind(manifests, kind) if selects(_at(each, path), pod(deployment))]
        if found != [name(deployment)]:
            yield f"its pods are selected by these of kind {kind}: {found}"
    for budget in of_kind(manifests, "PodDisruptionBudget"):
        if budget["spec"].get("maxUnavailable") != 1:
            yield f"PodDisruptionBudget {name(budget)} keeps a node from being drained"


def _at(field: Any, path: Sequence[str]) -> Any:
    for key in path:
        field = field[key]
    return field


def _of_service(service: Manifest, deployments: Sequence[Manifest]) -> Iterator[str]:
    chosen = [each for each in deployments if selects(service["spec"]["selector"], pod(each))]
    for port in service["spec"]["ports"]:
        targets = [each["name"] for deployment in chosen for each in container(deployment)["ports"]]
        if [port["targetPort"]] != targets:
            yield f"its port leads to {port['targetPort']}, its pods have {targets}"


def _of_policy(policy: Manifest, deployments: Sequence[Manifest]) -> Iterator[str]:
    spec = policy["spec"]
    if spec.get("policyTypes") != ["Ingress", "Egress"]:
        yield "it leaves a direction open"
    (chosen,) = (each for each in deployments if selects(spec["podSelector"]["matchLabels"], pod(each)))
    names = {port["name"] for port in container(chosen)["ports"]}
    for rule in spec["ingress"]:
        if not rule.get("from") or {port["port"] for port in rule.get("ports", [])} != names:
            yield "it lets in from everywhere, or to other ports than those of its pods"
    if not all(rule.get("ports") for rule in spec["egress"]):
        yield "it lets out to every port"
    if {53} not in ({port["port"] for port in rule.get("ports", [])} for rule in spec["egress"]):
        yield "it keeps names from being resolved"


def _of_monitor(monitor: Manifest, manifests: Sequence[Manifest]) -> Iterator[str]:
    spec = monitor["spec"]
    services = [each for each in of_kind(manifests, "Service") if selects(spec["selector"]["matchLabels"], each)]
    if [name(monitor)] != [name(each) for each in services]:
        yield f"it selects the Services {[name(each) for each in services]}"
        return
    (service,) = services
    if service["metadata"]["labels"].get(spec.get("jobLabel")) not in LISTEN_ADDRESSES:
        yield "its scrape job has no name that rules and dashboards look for"
    if [port["name"] for port in service["spec"]["ports"]] != [endpoint["port"] for endpoint in spec["endpoints"]]:
        yield "it scrapes a port that the Service does not have"


def _of_ingress(ingress: Manifest, manifests: Sequence[Manifest]) -> Iterator[str]:
    hosts = [rule["host"] for rule in ingress["spec"]["rules"]]
    if hosts != [host for entry in ingress["spec"].get("tls", []) for host in entry["hosts"]]:
        yield "it has hosts without TLS"
    for rule in ingress["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            backend = path["backend"]["service"]
            try:
                service = named(manifests, "Service", backend["name"])
            except ValueError:
                yield f"there is no Service {backend['name']}"
                continue
            if backend["port"]["name"] not in [port["name"] for port in service["spec"]["ports"]]:
                yield f"the Service {backend['name']} has no port {backend['port']['name']}"
            if backend["name"] != "dumbella-sidecar":
                yield f"it leads to {backend['name']}"
    public = yaml.safe_load(configuration(manifests, named(manifests, "Deployment", "dumbella-sidecar")))["kill"]
    if [public["public_url"]] != [f"https://{host}" for host in hosts] or not public["behind_tls_proxy"]:
        yield f"the sidecar takes itself for {public['public_url']}"


def _of_config_maps(manifests: Sequence[Manifest]) -> Iterator[str]:
    for config_map in of_kind(manifests, "ConfigMap"):
        if sum(map(len, map(str.encode, config_map["data"].values()))) > _APPLIED:
            yield f"ConfigMap {name(config_map)} is too large for `kubectl apply`"


_OF_DEPLOYMENTS = (
    _of_pods,
    _of_restrictions,
    _of_resources,
    _of_probes,
    _of_accounts,
    _of_volumes,
    _of_secrets,
    _of_companions,
)
