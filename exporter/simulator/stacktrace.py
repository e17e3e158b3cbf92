"""Long error texts such as a failing Talend job leaves behind: Java stack traces of several KB."""

from __future__ import annotations

import random

_CAUSES = (
    ("java.sql.SQLTransientConnectionException", "HikariPool-1 - Connection is not available, request timed out"),
    ("java.net.SocketTimeoutException", "Read timed out after 30000 ms"),
    ("java.sql.BatchUpdateException", 'duplicate key value violates unique constraint "uq_order_line"'),
    ("java.lang.NumberFormatException", 'For input string: "12,50"'),
)
_COMPONENTS = ("tDBInput_1", "tMap_2", "tFileInputDelimited_1", "tDBOutput_3", "tFlowToIterate_1", "tRESTClient_1")
_PACKAGES = (
    "routines.system.ThreadPool",
    "org.talend.components.runtime.Pipeline",
    "java.util.concurrent.ThreadPoolExecutor$Worker",
    "com.zaxxer.hikari.pool.HikariPool",
    "java.base/java.lang.Thread",
)


def stack_trace(job: str, seed: int, size: int = 4000) -> str:
    """Return a stack trace of at least ``size`` characters, the same for the same job and seed."""
    chance = random.Random(f"{seed} {job}")  # noqa: S311 - repeatable on purpose, guards nothing
    exception, message = chance.choice(_CAUSES)
    component = chance.choice(_COMPONENTS)
    lines = [f"Exception in component {component} ({job})", f"{exception}: {message}"]
    length = sum(len(line) + 1 for line in lines)
    depth = 0
    while length < size:
        depth += 1
        if depth % 12 == 0:
            cause, reason = chance.choice(_CAUSES)
            line = f"Caused by: {cause}: {reason}"
        else:
            owner = chance.choice((*_PACKAGES, f"sales.{job}.{job}"))
            method = chance.choice(("run", "execute", f"{component}Process", "call"))
            line = f"\tat {owner}.{method}({owner.rpartition('.')[2]}.java:{chance.randrange(20, 4000)})"
        lines.append(line)
        length += len(line) + 1
    lines.append("\t... 23 more")
    return "\n".join(lines) + "\n"
