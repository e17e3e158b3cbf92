"""Where clicks lead: to a job, and to the kill sidecar.

A link takes what it needs from the columns of its row, so that the table has to show them.
"""

from __future__ import annotations

from dashboards.panels import Link

TO_JOB = Link(
    "Show ${__data.fields.Name}",
    "/d/dumbella-job?${__url_time_range}&var-datasource=${datasource:percentencode}&${job:queryparam}&${instance:queryparam}"
    "&var-target=${__data.fields.Target:percentencode}&var-application=${__data.fields.Application:percentencode}"
    "&var-job_name=${__data.fields.Name:percentencode}&var-job_id=${__data.fields.Id:percentencode}",
)

#: ``Started`` is the start in milliseconds: the sidecar refuses to kill another run than the one that was clicked.
KILL = Link(
    "${__data.fields.Kill}",
    "${kill_url}/kill?target=${__data.fields.Target:percentencode}"
    "&application=${__data.fields.Application:percentencode}"
    "&execution=${__data.fields.Execution:percentencode}&started=${__data.fields.Started:percentencode}"
    "&from=dumbella-job-manager",
    new_tab=True,
)
