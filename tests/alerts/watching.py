"""A real Alertmanager with the shipped configuration, and a webhook receiver that keeps what it is sent.

Waiting times of rules and notifications are minutes; here they are divided by :data:`HASTE`, and nothing else differs
from the shipped files: expressions, labels, annotations, routes and texts are what runs.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests import loopback
from tests.alerts.rules import ALERTS, RULES, seconds
from tests.processes import poll, running

#: By how much waiting is shortened: a quarter of a second for half a minute.
HASTE = 120


def hastened(duration: str) -> str:
    """Return a duration of the shipped files, shortened."""
    return f"{seconds(duration) * 1000 // HASTE}ms"


def write_rules(file: Path) -> None:
    """Write the shipped rules with shorter waiting times and ranges, evaluated twice a second."""
    content = yaml.safe_load(RULES.read_text())
    for group in content["groups"]:
        group["interval"] = "500ms"
        for rule in group["rules"]:
            rule["expr"] = re.sub(r"\[(\w+)\]", lambda found: f"[{hastened(found[1])}]", rule["expr"])
            for wait in rule.keys() & {"for", "keep_firing_for"}:
                rule[wait] = hastened(rule[wait])
    file.write_text(yaml.safe_dump(content))


@dataclass(frozen=True, slots=True)
class Notification:
    """What one receiver was told of one alert."""

    receiver: str
    status: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(slots=True)
class Receiver:
    """A web server that keeps what is posted to it: ``/webhook/NAME`` and ``/chat/NAME`` for each receiver."""

    url: str
    posted: list[tuple[str, Any]] = field(default_factory=list)

    def notifications(self) -> list[Notification]:
        """Return what the webhooks were told, in order."""
        return [
            Notification(path.removeprefix("/webhook/"), alert["status"], alert["labels"], alert["annotations"])
            for path, body in list(self.posted)
            if path.startswith("/webhook/")
            for alert in body["alerts"]
        ]

    def texts(self, receiver: str) -> list[tuple[str, str]]:
        """Return titles and texts of the chat messages of a receiver, in order."""
        messages = [body["attachments"] for path, body in list(self.posted) if path == f"/chat/{receiver}"]
        return [(message["title"], message["text"]) for attachments in messages for message in attachments]


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver on the loopback interface."""
    posted: list[tuple[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            posted.append((self.path, body))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
            """Keep quiet."""

    with loopback.serving(Handler) as url:
        yield Receiver(url, posted)


def write_configuration(file: Path, receiver: Receiver) -> None:
    """Write the shipped Alertmanager configuration with shorter waiting times and the receiver in place of a chat.

    Receivers that notify somebody also get a webhook, which tells labels and annotations as they are.
    """
    content = yaml.safe_load((ALERTS / "alertmanager.yml").read_text())
    content["templates"] = [str(ALERTS / name) for name in content["templates"]]
    for route in (content["route"], *content["route"]["routes"]):
        for wait in route.keys() & {"group_wait", "group_interval", "repeat_interval"}:
            route[wait] = hastened(route[wait])
    for target in content["receivers"]:
        for chat in target.get("slack_configs", ()):
            del chat["api_url_file"]
            chat["api_url"] = f"{receiver.url}/chat/{target['name']}"
            target["webhook_configs"] = [{"url": f"{receiver.url}/webhook/{target['name']}", "send_resolved": True}]
    file.write_text(yaml.safe_dump(content))


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """A running Alertmanager and what it sends."""

    url: str
    receiver: Receiver

    def alerts(self, **labels: str) -> list[dict[str, Any]]:
        """Return the alerts with these labels that it holds now."""
        filters = [f'{name}="{value}"' for name, value in labels.items()]
        answer = loopback.get(f"{self.url}/api/v2/alerts", params={"filter": filters})
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()
        return found

    def fire(self, *alerts: Mapping[str, str]) -> None:
        """Let alerts with these labels fire for a few minutes, as Prometheus would."""
        end = (dt.datetime.now(dt.UTC) + dt.timedelta(minutes=5)).isoformat()
        body = [{"labels": labels, "annotations": {"summary": "of a test"}, "endsAt": end} for labels in alerts]
        loopback.request("POST", f"{self.url}/api/v2/alerts", json=body).raise_for_status()

    def told(self, alertname: str, status: str = "firing", **labels: str) -> Notification | None:
        """Return the latest notification with this status about an alert, ``None`` while there is none."""
        wanted = {"alertname": alertname, **labels}.items()
        found = [one for one in self.receiver.notifications() if wanted <= one.labels.items()]
        return next((one for one in reversed(found) if one.status == status), None)


@contextlib.contextmanager
def alerting(binary: Path, folder: Path) -> Iterator[Alertmanager]:
    """Run an Alertmanager with the shipped configuration and a receiver."""
    folder.mkdir(parents=True, exist_ok=True)
    with receiving() as receiver:
        file = folder / "alertmanager.yml"
        write_configuration(file, receiver)
        command = [
            binary,
            f"--config.file={file}",
            f"--storage.path={folder / 'data'}",
            "--web.listen-address=127.0.0.1:0",
            "--cluster.listen-address=",
        ]
        with running(command, folder, name="alertmanager") as process:
            address = process.wait_for(r'msg="Listening on".* address=(\S+)')[1]
            poll(lambda: _is_ready(f"http://{address}"))
            yield Alertmanager(f"http://{address}", receiver)


def _is_ready(url: str) -> bool:
    try:
        return loopback.get(f"{url}/-/ready").is_success
    except httpx.TransportError:
        return False
