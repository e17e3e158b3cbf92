"""Secrets that live in files, so that they can be rotated without a restart and never appear in a listing."""

from __future__ import annotations

from pathlib import Path


class SecretFile:
    """A secret in a file, read again whenever the file changes.

    The file's identity (device, inode, size, modification time) is compared at each read, which follows both an edit
    in place and the symbolic-link swap that Kubernetes does.
    """

    __slots__ = ("_identity", "_value", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity: tuple[int, int, int, int] | None = None
        self._value = ""

    def read(self) -> str:
        """Return the secret without surrounding white space.

        Raises:
            OSError: the file cannot be read.
            ValueError: the file is empty, has several lines, or is not printable ASCII.
        """
        stat = self.path.stat()
        identity = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if identity != self._identity:
            self._value = self._parse(self.path.read_bytes())
            self._identity = identity
        return self._value

    def _parse(self, content: bytes) -> str:
        value = content.strip()
        if not value:
            raise ValueError("the file is empty")
        if b"\n" in value:
            raise ValueError("the file has several lines")
        if not all(0x20 <= byte < 0x7F for byte in value):  # noqa: PLR2004 - the bounds of printable ASCII
            raise ValueError("the file has characters that are not printable ASCII")
        return value.decode("ascii")

    def __repr__(self) -> str:
        return f"SecretFile({str(self.path)!r})"


def no_password() -> str:
    """Refuse a private key that is encrypted; without an answer, OpenSSL would ask on the terminal for its password.

    Raises:
        ValueError: always.
    """
    raise ValueError("the key is encrypted; expected one without a password")
