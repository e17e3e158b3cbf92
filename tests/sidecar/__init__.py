"""Tests of the kill sidecar."""
