"""Tests of the whole: real processes, real HTTP, a real Prometheus."""
