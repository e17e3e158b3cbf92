"""The tests: a mirror of the package, and end-to-end tests with real processes."""
