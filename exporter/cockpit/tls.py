"""How a target's certificate is judged, and which one is shown to it."""

from __future__ import annotations

import ssl
from pathlib import Path

from exporter.cockpit.errors import TLSFailed
from exporter.config import Tls
from exporter.secret import no_password

_Identity = tuple[int, int, int, int]


class TlsContext:
    """A TLS context that follows its files.

    A changed certificate, key or authority takes effect with the next connection. An authority that was removed from
    its file stays trusted until the configuration is loaded again, because OpenSSL only adds.

    Args:
        tls: the target's section of the configuration.
    """

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._files: tuple[_Identity, ...] = ()

    def current(self) -> ssl.SSLContext:
        """Return the context, always the same one, with the files as they are now.

        Raises:
            TLSFailed: a file cannot be read or does not hold what it should.
        """
        try:
            files = tuple(_identity(path) for path in self._paths())
            if self._context is None:
                self._context = self._new()
            if files != self._files:
                self._load(self._context)
                self._files = files
        except (OSError, ValueError) as error:
            where = ascii(str(error.filename)) if isinstance(error, OSError) and error.filename else "a file under tls"
            reason = (isinstance(error, OSError) and error.strerror) or error
            raise TLSFailed(f"{where} cannot be used: {reason}") from error
        return self._context

    def _paths(self) -> list[Path]:
        return [path for path in (self._tls.ca_file, self._tls.cert_file, self._tls.key_file) if path is not None]

    def _new(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self._tls.ca_file is None:
            context.load_default_certs()
        if self._tls.insecure_skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _load(self, context: ssl.SSLContext) -> None:
        if self._tls.ca_file is not None:
            context.load_verify_locations(cafile=self._tls.ca_file)
        if self._tls.cert_file is not None:
            context.load_cert_chain(self._tls.cert_file, self._tls.key_file, password=no_password)


def _identity(path: Path) -> _Identity:
    stat = path.stat()
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
