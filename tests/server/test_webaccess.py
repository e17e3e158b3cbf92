"""TLS, logins and headers of a running server, and how they follow their files."""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import httpx
import pytest

from tests import loopback
from tests.certificates import Authority, Certificate
from tests.processes import DEADLINE, Process, eventually, running

ECHO = Path(__file__).parent / "echo.py"
ALICE = ("alice", "wonderland")


@dataclass(frozen=True, slots=True)
class Server:
    """A running echo with a web configuration."""

    process: Process
    url: str

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", int(self.url.rpartition(":")[2])

    def get(
        self,
        path: str = "/",
        *,
        verify: ssl.SSLContext | None = None,
        auth: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Return the answer to a GET request on a new connection."""
        options = {} if verify is None else {"verify": verify}
        with loopback.client(auth=auth, headers=headers, **options) as client:
            return client.get(f"{self.url}{path}")

    def certificate(self) -> bytes:
        """Return the certificate that a new connection is shown."""
        return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(self.address))


@dataclass(frozen=True, slots=True)
class Site:
    """A folder with an authority, a server's certificate and the web configuration."""

    folder: Path
    authority: Authority
    server: Certificate

    @classmethod
    def make(cls, folder: Path) -> Site:
        """Return a new one without a web configuration."""
        authority = Authority.make(folder)
        return cls(folder, authority, authority.issue(folder, "server"))

    def write(self, text: str) -> None:
        """Write the web configuration."""
        beside = self.folder / "web.new"
        beside.write_text(text)
        beside.replace(self.folder / "web.yml")

    @contextlib.contextmanager
    def serving(self, text: str) -> Iterator[Server]:
        """Run an echo with this web configuration."""
        self.write(text)
        with running([sys.executable, ECHO, "{}", self.folder / "web.yml"], self.folder, name="echo") as process:
            yield Server(process, process.listening_url())


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A folder with fresh certificates."""
    return Site.make(tmp_path)


TLS = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n"


def gated(client_auth_type: str) -> str:
    """Return a web configuration that asks clients for certificates of ``clients.pem``."""
    return TLS.replace("}", f", client_auth_type: {client_auth_type}, client_ca_file: clients.pem}}")


def users(**passwords: str) -> str:
    """Return a web configuration's users."""
    hashes = {name: bcrypt.hashpw(text.encode(), bcrypt.gensalt(4)).decode() for name, text in passwords.items()}
    return "basic_auth_users:\n" + "".join(f"  {name}: {value}\n" for name, value in hashes.items())


def refused(server: Server, context: ssl.SSLContext) -> bool:
    """Tell whether a client is refused before it can ask anything."""
    with pytest.raises(httpx.TransportError):
        server.get(verify=context)
    return True


def test_tls(site: Site) -> None:
    """With a certificate the server speaks TLS 1.3, says https in its log, and nothing in plain HTTP."""
    with site.serving(TLS) as server:
        assert server.url.startswith("https://127.0.0.1:")
        assert 200 == server.get(verify=site.authority.trusting()).status_code
        with (
            socket.create_connection(server.address, timeout=DEADLINE) as connection,
            site.authority.trusting().wrap_socket(connection, server_hostname="localhost") as encrypted,
        ):
            assert "TLSv1.3" == encrypted.version()
        with pytest.raises(httpx.TransportError):
            loopback.get(server.url.replace("https", "http"))


#: Offers both kinds of key exchange and signature that any server of the last fifteen years has.
_EXTENSIONS = bytes.fromhex("000a00040002001700 0d0006000404030401".replace(" ", ""))


def hello(version: bytes) -> bytes:
    """Return the first message of a client whose highest version of TLS is ``version``."""
    suites = bytes.fromhex("c02bc02fc009c013002f")
    content = version + bytes(range(32)) + b"\0" + len(suites).to_bytes(2) + suites + b"\1\0"
    content += len(_EXTENSIONS).to_bytes(2) + _EXTENSIONS
    handshake = b"\1" + len(content).to_bytes(3) + content
    return b"\x16\3\1" + len(handshake).to_bytes(2) + handshake


@pytest.mark.parametrize(
    ("version", "answer"),
    [
        pytest.param(b"\3\1", b"", id="1.0-is-refused"),
        pytest.param(b"\3\2", b"", id="1.1-is-refused"),
        pytest.param(b"\3\3", b"\x16\3\3", id="1.2-is-spoken"),
    ],
)
def test_versions(site: Site, version: bytes, answer: bytes) -> None:
    """A client that has nothing above TLS 1.1 is hung up on; the same one with TLS 1.2 gets an answer."""
    with site.serving(TLS) as server, socket.create_connection(server.address, timeout=DEADLINE) as connection:
        connection.sendall(hello(version))
        assert answer == connection.recv(3, socket.MSG_WAITALL)


def test_slow_handshake(site: Site) -> None:
    """A client that does not get on with the handshake is hung up on as soon as one that sends no request."""
    site.write(TLS)
    command = [sys.executable, ECHO, '{"arrival": 0.5}', site.folder / "web.yml"]
    with running(command, site.folder, name="echo") as process:
        server = Server(process, process.listening_url())
        for begin in (b"", hello(b"\3\3")[:20]):
            # asyncio alone would hang up after a minute; a client that is late itself is reset.
            with (
                contextlib.suppress(ConnectionResetError, BrokenPipeError),
                socket.create_connection(server.address, timeout=25) as connection,
            ):
                connection.sendall(begin)
                assert b"" == connection.recv(1)
        assert "Traceback" not in process.log


def test_refusal_arrives_through_tls(site: Site) -> None:
    """What is wrong with a request is said through TLS as it is without, and the connection ends."""
    with (
        site.serving(TLS) as server,
        socket.create_connection(server.address, timeout=DEADLINE) as connection,
        site.authority.trusting().wrap_socket(connection, server_hostname="localhost") as encrypted,
    ):
        encrypted.sendall(b"GET / HTTP/1.1\r\n" + b"X-A: aaaaaaaa\r\n" * 4096)
        received = b"".join(iter(lambda: encrypted.recv(64 * 1024), b""))
        assert received.startswith(b"HTTP/1.1 431 ")
        assert received.endswith(b"the headers have more than 32768 bytes\n")


def test_versions_can_be_raised(site: Site) -> None:
    """With min_version TLS13 a client with TLS 1.2 is refused."""
    with (
        site.serving(TLS.replace("}", ", min_version: TLS13}")) as server,
        socket.create_connection(server.address, timeout=DEADLINE) as connection,
    ):
        connection.sendall(hello(b"\3\3"))
        assert b"" == connection.recv(3, socket.MSG_WAITALL)


def test_client_certificate_required(site: Site) -> None:
    """Where a client certificate is required, one of the right authority lets in, none or another's does not."""
    clients, strangers = Authority.make(site.folder, "clients"), Authority.make(site.folder, "strangers")
    with site.serving(gated("RequireAndVerifyClientCert")) as server:
        good = site.authority.trusting(clients.issue(site.folder, "prometheus"))
        assert 200 == server.get(verify=good).status_code
        assert refused(server, site.authority.trusting())
        assert refused(server, site.authority.trusting(strangers.issue(site.folder, "stranger")))


def test_client_certificate_if_given(site: Site) -> None:
    """Where a client certificate is only verified, none is fine and another authority's is not."""
    clients, strangers = Authority.make(site.folder, "clients"), Authority.make(site.folder, "strangers")
    with site.serving(gated("VerifyClientCertIfGiven")) as server:
        assert 200 == server.get(verify=site.authority.trusting()).status_code
        good = site.authority.trusting(clients.issue(site.folder, "prometheus"))
        assert 200 == server.get(verify=good).status_code
        assert refused(server, site.authority.trusting(strangers.issue(site.folder, "stranger")))


def test_renewed_certificate(site: Site) -> None:
    """A renewed certificate is shown to the next connection; those that are open go on."""
    renewed = site.authority.issue(site.folder / "renewed", "server")
    with site.serving(TLS) as server, loopback.client(verify=site.authority.trusting()) as client:
        assert 200 == client.get(server.url).status_code
        assert site.server.der == server.certificate()
        site.server.replace(renewed)
        assert renewed.der == server.certificate()
        assert 200 == client.get(server.url).status_code


def test_broken_certificate(site: Site) -> None:
    """While the new certificate is no good the old one is shown, and one line of the log says why."""
    renewed = site.authority.issue(site.folder / "renewed", "server")
    old = site.server.der
    with site.serving(TLS) as server:
        site.server.cert.write_text("no certificate\n")
        for _ in range(3):
            assert old == server.certificate()
        line = "tls_server_config.cert_file: the file server.pem is not in PEM, expected a readable file in PEM"
        assert 1 == server.process.log.count('msg="web configuration not changed"')
        assert line in server.process.log
        site.server.replace(renewed)
        assert renewed.der == server.certificate()
        assert 1 == server.process.log.count('msg="web configuration changed"')


def test_withdrawn_authority(site: Site) -> None:
    """Clients of an authority that is no longer in the file are refused from then on."""
    clients, others = Authority.make(site.folder, "clients"), Authority.make(site.folder / "others", "clients")
    with site.serving(gated("RequireAndVerifyClientCert")) as server:
        good = site.authority.trusting(clients.issue(site.folder, "prometheus"))
        assert 200 == server.get(verify=good).status_code
        clients.own.replace(others.own)
        assert refused(server, site.authority.trusting(Certificate(*_pair(site.folder, "prometheus"))))


def _pair(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}.pem", folder / f"{name}.key"


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        pytest.param(TLS, "http_server_config: {}\n", "was removed, expected a restart to switch TLS", id="removed"),
        pytest.param("http_server_config: {}\n", TLS, "was added, expected a restart to switch TLS", id="added"),
    ],
)
def test_tls_stays_as_it_was_started(site: Site, before: str, after: str, sentence: str) -> None:
    """TLS is neither switched off nor on by a change of the file; the log says what to do."""
    with site.serving(before) as server:
        site.write(after)
        assert 200 == server.get(verify=site.authority.trusting()).status_code
        assert sentence in server.process.log


def test_login(site: Site) -> None:
    """With users in the file every path wants a login, except those that probes ask."""
    with site.serving(users(alice="wonderland")) as server:
        answer = server.get("/metrics")
        assert (401, "Unauthorized\n", 'Basic realm="dumbella-exporter", charset="UTF-8"') == (
            answer.status_code,
            answer.text,
            answer.headers["www-authenticate"],
        )
        assert 200 == server.get("/metrics", auth=ALICE).status_code
        assert 401 == server.get("/metrics", auth=("alice", "wonderlanD")).status_code
        assert 401 == server.get("/metrics", auth=("bob", "wonderland")).status_code
        assert 401 == server.get("/metrics", auth=("alice", "w" * 73)).status_code
        assert [200, 200] == [server.get(path).status_code for path in ("/-/healthy", "/-/ready")]


def test_login_is_not_evaded(site: Site) -> None:
    """Only the very paths of the probes go without a login."""
    evasions = ("/", "/-/healthy/", "//-/healthy", "/-/healthy/../metrics", "/-/Healthy", "/-/healthy%00", "/-/reload")
    with site.serving(users(alice="wonderland")) as server:
        assert dict.fromkeys(evasions, 401) == {path: server.get(path).status_code for path in evasions}


def test_changed_users(site: Site) -> None:
    """New users and passwords count at once, and those that are gone let nobody in any more."""
    with site.serving(users(alice="wonderland")) as server:
        assert 200 == server.get(auth=ALICE).status_code
        site.write(users(alice="looking-glass", bob="builder"))
        assert 401 == server.get(auth=ALICE).status_code
        assert 200 == server.get(auth=("alice", "looking-glass")).status_code
        assert 200 == server.get(auth=("bob", "builder")).status_code
        site.write(users(bob="builder"))
        assert 401 == server.get(auth=("alice", "looking-glass")).status_code


def test_broken_users(site: Site) -> None:
    """A file that was emptied by accident opens no door, and its repair counts at once."""
    with site.serving(users(alice="wonderland")) as server:
        for text in ("", "basic_auth_users: {alice: wonderland}\n"):
            site.write(text)
            assert 401 == server.get().status_code
            assert 200 == server.get(auth=ALICE).status_code
        (site.folder / "web.yml").unlink()
        assert 401 == server.get().status_code
        assert 3 == server.process.log.count('msg="web configuration not changed"')
        site.write(users(bob="builder"))
        assert 200 == server.get(auth=("bob", "builder")).status_code


def test_no_password_in_the_log(site: Site) -> None:
    """Neither passwords nor hashes get into the log, whatever is wrong with the file."""
    with site.serving(users(alice="wonderland")) as server:
        server.get(auth=ALICE)
        server.get(auth=("alice", "hunter2"))
        site.write("basic_auth_users: {alice: 'hunter2'}\n")
        server.get(auth=ALICE)
        eventually(lambda: _contains(server.process.log, "web configuration not changed"))
        assert not [secret for secret in ("wonderland", "hunter2", "$2b$") if secret in server.process.log]


def _contains(text: str, part: str) -> None:
    assert part in text


def test_headers(site: Site) -> None:
    """Configured headers are sent with every answer, that of the login included, and follow the file."""
    text = users(alice="wonderland") + "http_server_config: {headers: {X-Frame-Options: sameorigin}}\n"
    with site.serving(text) as server:
        for path, status in (("/", 401), ("/-/healthy", 200)):
            answer = server.get(path)
            assert (status, "sameorigin") == (answer.status_code, answer.headers["x-frame-options"])
        site.write(text.replace("sameorigin", "deny"))
        assert "deny" == server.get("/-/healthy").headers["x-frame-options"]
