"""The configuration file, as typed models whose every problem names its key, what was wrong and what was expected."""

from exporter.config.advice import sidecar_warnings, warnings
from exporter.config.file import Config, Expectation, Global, Purpose, load
from exporter.config.problems import ConfigError
from exporter.config.target import Auth, HeaderFile, JobFilter, Limits, Results, Target, Tls

__all__ = [
    "Auth",
    "Config",
    "ConfigError",
    "Expectation",
    "Global",
    "HeaderFile",
    "JobFilter",
    "Limits",
    "Purpose",
    "Results",
    "Target",
    "Tls",
    "load",
    "sidecar_warnings",
    "warnings",
]
