"""Serving over HTTP: listeners, the protocol's limits, and the web configuration with its TLS and logins."""

from exporter.server.listening import ListenAddress, ListenError, bind, bound_url, serve

__all__ = ["ListenAddress", "ListenError", "bind", "bound_url", "serve"]
