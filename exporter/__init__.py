"""Prometheus exporter for the jobs and running executions of Dumbella."""

__version__ = "0.1.0"
