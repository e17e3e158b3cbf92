"""The command ``check``: what is wrong with a configuration file, and what the targets in it answer."""

from exporter.check.command import check, check_online

__all__ = ["check", "check_online"]
