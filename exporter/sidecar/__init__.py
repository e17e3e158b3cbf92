"""The kill sidecar: pages, API, authentication, policy and audit, in a process of its own."""
