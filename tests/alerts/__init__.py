"""Tests of alerts/: rules, runbooks, the Alertmanager example, and all of it together."""
