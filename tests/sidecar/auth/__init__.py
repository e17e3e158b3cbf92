"""Tests of the providers of authentication."""
