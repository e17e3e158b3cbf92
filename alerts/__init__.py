"""What is made from the alert rules: ``python -m alerts`` writes their list and their form for Kubernetes.

The rules themselves, their tests, the runbooks and the Alertmanager example are written by hand.
"""
