"""Jobs as files: laid out on disk like an exported Talend job, with a script that does visible work."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from exporter.simulator.stacktrace import stack_trace
from exporter.simulator.world import Behaviour, Job

#: Contexts that every job has.
CONTEXTS = ("Default", "Production")

# The loops look at the simulator, so that nothing outlives one that was killed itself. It tells its pid, since a shell
# that starts when its parent is gone already takes whoever adopted it for its parent.
_SCRIPT = r"""#!/bin/sh
# @JOB@ @VERSION@: reads a context, applies --context_param overrides, then works in steps.
cd "$(dirname "$0")" || exit 1

steps=1 pause=1 exit_code=0 child=no ignore_term=no
simulator=${SIMULATOR_PID:-$PPID}

assign() {
  case $1 in
    steps | exit_code) case $2 in '' | *[!0-9]*) [ "$1=$2" = steps=forever ] || return 0 ;; esac ;;
    pause) case $2 in '' | *[!0-9.]* | *.*.*) return 0 ;; esac ;;
    child | ignore_term) ;;
    *) echo "context parameter $1=$2"; return 0 ;;
  esac
  case $1 in
    steps) steps=$2 ;;
    exit_code) exit_code=$2 ;;
    pause) pause=$2 ;;
    child) child=$2 ;;
    ignore_term) ignore_term=$2 ;;
  esac
}

context=Default
for argument; do
  case $argument in --context=*) context=${argument#--context=} ;; esac
done
case $context in */*) echo "no such context: $context" >&2; exit 1 ;; esac
if [ ! -f "contexts/$context.properties" ]; then
  echo "no such context: $context" >&2
  exit 1
fi
while IFS='=' read -r key value; do
  case $key in '' | '#'*) ;; *) assign "$key" "$value" ;; esac
done < "contexts/$context.properties"
while [ $# -gt 0 ]; do
  case $1 in
    --context_param) shift; assign "${1%%=*}" "${1#*=}" ;;
    --context_param=*) set -- "${1#--context_param=}" "$@"; assign "${1%%=*}" "${1#*=}"; shift ;;
  esac
  shift
done

finishing=no
trap 'finishing=yes exit_code=1' USR1
trap 'finishing=yes' USR2
[ "$ignore_term" = yes ] && trap '' TERM

if [ "$child" = yes ]; then
  (
    trap '' TERM
    while kill -0 "$simulator" 2> /dev/null; do sleep "$pause"; done
  ) &
  echo "helper process $! started"
fi

echo "@JOB@ @VERSION@ started in context $context"
step=0
while [ "$finishing" = no ] && { [ "$steps" = forever ] || [ "$step" -lt "$steps" ]; }; do
  # The shell would remark that a signal has ended the pause.
  sleep "$pause" & wait "$!" 2> /dev/null
  kill -0 "$simulator" 2> /dev/null || exit 143
  step=$((step + 1))
  [ "$steps" = forever ] || echo "step $step of $steps done"
done
trap '' USR1 USR2
if [ "$exit_code" -ne 0 ]; then
  cat ../lib/failure.txt >&2
  exit "$exit_code"
fi
echo "@JOB@ @VERSION@ ended"
"""


class Workspace:
    """A temporary folder with the jobs' files and what their runs print, made when it is first needed."""

    @cached_property
    def root(self) -> Path:
        """The folder."""
        return Path(tempfile.mkdtemp(prefix="dumbella-simulator-"))

    def remove(self) -> None:
        """Delete the folder and everything in it."""
        shutil.rmtree(self.root, ignore_errors=True)
        del self.root

    def output(self, name: str) -> Path:
        """Return the file that takes what a run or a service prints."""
        folder = self.root / "output"
        folder.mkdir(exist_ok=True)
        return folder / f"{name}.log"

    def script(self, job: Job) -> Path:
        """Return the job's ``<Job>/<Job>_run.sh``, laying out its files first where they are missing."""
        talend_name = _file_name(job.talend_name)
        folder = self.root / "jobs" / job.application / str(job.id)
        script = folder / talend_name / f"{talend_name}_run.sh"
        if not script.exists():
            self._deploy(job, folder, script)
        return script

    def _deploy(self, job: Job, folder: Path, script: Path) -> None:
        contexts = script.parent / "contexts"
        contexts.mkdir(parents=True)
        for context in CONTEXTS:
            properties = {"environment": context, **context_parameters(job.behaviour)}
            (contexts / f"{context}.properties").write_text(_properties(properties), encoding="utf-8")
        library = folder / "lib"
        library.mkdir()
        (library / "failure.txt").write_text(stack_trace(job.talend_name, job.id), encoding="utf-8")
        info = {
            "project": job.application,
            "job": job.talend_name,
            "jobId": str(job.id),
            "jobVersion": job.talend_version,
            "contextName": CONTEXTS[0],
            "applyContextToChildren": "false",
        }
        (folder / "jobInfo.properties").write_text(_properties(info), encoding="utf-8")
        text = _SCRIPT.replace("@JOB@", _comment(job.talend_name)).replace("@VERSION@", _comment(job.talend_version))
        script.write_text(text, encoding="utf-8")
        script.chmod(0o755)


def command(script: Path, context: str, parameters: Mapping[str, str]) -> list[str | Path]:
    """Return the command line for a run of ``script``."""
    line: list[str | Path] = ["sh", script, f"--context={context}"]
    for key, value in parameters.items():
        line += ["--context_param", f"{key}={value}"]
    return line


def context_parameters(behaviour: Behaviour) -> dict[str, str]:
    """Return ``behaviour`` as the context parameters that the script understands."""
    return {
        **duration_parameters(behaviour.duration),
        "exit_code": str(behaviour.exit_code),
        "child": "yes" if behaviour.child else "no",
        "ignore_term": "yes" if behaviour.ignore_term else "no",
    }


def duration_parameters(duration: float | None) -> dict[str, str]:
    """Return the steps and the pause between them that make a run last ``duration`` seconds (``None``: for ever).

    Long runs take longer steps, so that many of them cost little.
    """
    if duration is None:
        return {"steps": "forever", "pause": "1"}
    steps = max(1, min(round(duration / 0.5), 20 + round(duration / 5)))
    return {"steps": str(steps), "pause": f"{max(duration, 0.0) / steps:.3f}"}


def _properties(values: Mapping[str, str]) -> str:
    return "".join(f"{key}={value}\n" for key, value in values.items())


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name)[:80].lstrip(".") or "job"


def _comment(text: str) -> str:
    """Return ``text`` without what the shell would read as more than plain characters of a double-quoted string."""
    return re.sub(r"[^\w.\- ]", "_", text)
