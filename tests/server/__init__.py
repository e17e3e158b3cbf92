"""Tests of exporter/server/."""
