"""What can go wrong when Cockpit or Dumbella is asked something.

::

    CockpitError
    ├── RequestTimeout    timeout        no complete answer before the deadline
    ├── ConnectFailed     connect        refused, reset, unresolved, torn: every other transport failure
    ├── TLSFailed         tls            the certificate or the handshake was not acceptable
    ├── AuthRejected      auth           401, 403, or a credential that cannot be read here
    ├── ClientError       client_error   any other 4xx
    ├── ServerError       server_error   5xx, and 701 of releases before 2024.1
    ├── Redirected        redirect       3xx: nearly always a login page
    ├── NotJSON           not_json       HTML, an empty body, torn JSON
    ├── TooLarge          too_large      more bytes than limits.response_bytes
    └── SchemaMismatch    schema         JSON, but not a list in any known envelope

``reason`` is the value of the label with that name; ``remedy`` is what the log tells the operator to do.
"""

from __future__ import annotations

from typing import ClassVar


class CockpitError(Exception):
    """A question to Cockpit or Dumbella that was not answered as documented.

    Args:
        detail: what happened, in one line, without secrets.
        status: the HTTP status, where there was an answer.
    """

    reason: ClassVar[str]
    remedy: ClassVar[str]

    def __init__(self, detail: str, *, status: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status


class RequestTimeout(CockpitError):
    """No complete answer before the deadline."""

    reason = "timeout"
    remedy = "check that Cockpit is not overloaded, or raise global.timeout"


class ConnectFailed(CockpitError):
    """The connection was refused, reset, torn, or never came about."""

    reason = "connect"
    remedy = "check the target's url and proxy_url, DNS, firewalls, and that Cockpit is up"


class TLSFailed(CockpitError):
    """The server's certificate or the handshake was not acceptable."""

    reason = "tls"
    remedy = "check tls.ca_file, tls.server_name and the certificate's dates"


class AuthRejected(CockpitError):
    """Cockpit answered 401 or 403, or the credential cannot be read here."""

    reason = "auth"
    remedy = "check that the API key is right, not expired, and allowed to read this application"


class ClientError(CockpitError):
    """Any other 4xx."""

    reason = "client_error"
    remedy = "check the application code, the base url and the profile's paths"


class ServerError(CockpitError):
    """A 5xx, or the 701 of releases before 2024.1."""

    reason = "server_error"
    remedy = "look at Cockpit's and Dumbella's own logs"


class Redirected(CockpitError):
    """A 3xx; redirects are never followed, because they nearly always lead to a login page."""

    reason = "redirect"
    remedy = "check the base url (scheme, host, context path) and the credential"


class NotJSON(CockpitError):
    """The body is HTML, empty, or torn."""

    reason = "not_json"
    remedy = "check that the url is the API's, not a page's, and that nothing between answers in its place"


class TooLarge(CockpitError):
    """The body is larger than ``limits.response_bytes``."""

    reason = "too_large"
    remedy = "raise limits.response_bytes if the answer is legitimate"


class SchemaMismatch(CockpitError):
    """The body is JSON, but not a list in any known envelope."""

    reason = "schema"
    remedy = "run check --online and describe the answer's form in a profile"


#: Every value of the ``reason`` label.
REASONS = tuple(error.reason for error in CockpitError.__subclasses__())
