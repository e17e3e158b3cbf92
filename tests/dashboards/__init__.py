"""The Grafana dashboards: what they are made of, what they ask of Prometheus, and what Grafana makes of the answers."""
