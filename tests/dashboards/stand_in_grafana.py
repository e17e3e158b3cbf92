"""A stand-in for Grafana's server, as far as the demo needs it: it serves the dashboards that it is provisioned with.

It is run as a program of its own, ``grafana server --config=FILE --homepath=FOLDER``.
"""

from __future__ import annotations

import configparser
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import yaml


def main(server: str, config: str, homepath: str) -> None:
    """Serve ``/api/dashboards/uid/…`` and the data sources at ``/api/datasources`` until a signal ends it."""
    assert server == "server"
    assert (Path(homepath.removeprefix("--homepath=")) / "conf/defaults.ini").is_file()
    settings = configparser.ConfigParser()
    settings.read(config.removeprefix("--config="))
    provisioning = Path(settings["paths"]["provisioning"])
    (provider,) = yaml.safe_load((provisioning / "dashboards/dumbella.yml").read_text())["providers"]
    files = [json.loads(file.read_text()) for file in Path(provider["options"]["path"]).glob("*.json")]
    sources = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    pages = {f"/api/dashboards/uid/{file['uid']}": {"dashboard": file} for file in files}
    answers: dict[str, object] = {**pages, "/api/datasources": sources}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(answers.get(self.path)).encode()
            self.send_response(200 if self.path in answers else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    address = (settings["server"]["http_addr"], settings.getint("server", "http_port"))
    HTTPServer(address, Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
