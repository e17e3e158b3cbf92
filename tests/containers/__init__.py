"""Tests of the image and of the stack, with a real container engine."""
