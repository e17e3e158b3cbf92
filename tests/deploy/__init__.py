"""What operators deploy: manifests, units and configurations, checked as far as a single machine can."""
