"""Tests of exporter/check/."""
