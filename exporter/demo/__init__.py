"""The command ``demo``: a simulated installation, and all that watches it, as child processes."""

from exporter.demo.command import Addresses, demo

__all__ = ["Addresses", "demo"]
