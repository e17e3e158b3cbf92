"""Tests of exporter/cockpit/."""
