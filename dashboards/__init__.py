"""The Grafana dashboards as a program: ``python -m dashboards`` writes the JSON files and their reference.

``jobs``, ``job_manager``, ``job`` and ``health`` each hold one dashboard, panel by panel, in the order in which they
are seen. They are built from ``promql`` (what is asked), ``appearance`` (how values look) and ``panels`` (what kinds of
panel there are); ``layout`` puts them in their places.
"""
