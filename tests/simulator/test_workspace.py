"""Jobs as files: the layout of an exported Talend job, and its script."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.simulator.workspace import Workspace, duration_parameters
from exporter.simulator.world import Behaviour, Job
from tests.processes import DEADLINE

JOB = Job("K7SALES", 45728180943727, "load_orders_0.1.zip", behaviour=Behaviour(duration=1.5, exit_code=2))


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    """An empty workspace, removed after the test."""
    made = Workspace()
    root = made.root
    yield made
    made.remove()
    assert not root.exists()


def test_files_are_laid_out_like_an_exported_talend_job(workspace: Workspace) -> None:
    """A job has its script, contexts, jobInfo.properties and lib in a folder of its own."""
    script = workspace.script(JOB)
    folder = script.parent.parent
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == [
        "jobInfo.properties",
        "lib/failure.txt",
        "load_orders/contexts/Default.properties",
        "load_orders/contexts/Production.properties",
        "load_orders/load_orders_run.sh",
    ]
    assert os.access(script, os.X_OK)
    assert (folder / "jobInfo.properties").read_text().splitlines() == [
        "project=K7SALES",
        "job=load_orders",
        "jobId=45728180943727",
        "jobVersion=0.1",
        "contextName=Default",
        "applyContextToChildren=false",
    ]
    assert (script.parent / "contexts" / "Production.properties").read_text().splitlines() == [
        "environment=Production",
        "steps=3",
        "pause=0.500",
        "exit_code=2",
        "child=no",
        "ignore_term=no",
    ]


def run(script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a job's script to its end."""
    command = ["sh", str(script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE)  # noqa: S603 - our script


def test_parameters_win_over_the_context(workspace: Workspace) -> None:
    """Both spellings of --context_param are understood; what the script does not know is only shown."""
    ended = run(
        workspace.script(JOB), "--context_param", "steps=1", "--context_param=pause=0", "--context_param", "size=1 = 2"
    )
    assert ended.stdout.splitlines() == [
        "context parameter environment=Default",
        "context parameter size=1 = 2",
        "load_orders 0.1 started in context Default",
        "step 1 of 1 done",
    ]
    assert ended.returncode == 2
    assert ended.stderr == (workspace.script(JOB).parent.parent / "lib" / "failure.txt").read_text()


@pytest.mark.parametrize("parameter", ["steps=$(id)", "steps=", "steps=-1", "pause=1;id", "pause=1.2.3", "exit_code=x"])
def test_nonsense_is_not_taken_over(workspace: Workspace, parameter: str) -> None:
    """A number that is none leaves the value as it was."""
    plain = ["--context_param", "steps=1", "--context_param", "pause=0", "--context_param", "exit_code=0"]
    ended = run(workspace.script(JOB), *plain, "--context_param", parameter)
    assert (ended.returncode, ended.stdout.splitlines()[-2:]) == (0, ["step 1 of 1 done", "load_orders 0.1 ended"])


@pytest.mark.parametrize("context", ["Nowhere", "../contexts/Default"])
def test_an_unknown_context_is_refused(workspace: Workspace, context: str) -> None:
    """The script ends with 1 and names the context."""
    ended = run(workspace.script(JOB), f"--context={context}")
    assert (ended.returncode, ended.stderr) == (1, f"no such context: {context}\n")


@pytest.mark.parametrize(
    "name", ["../../etc/passwd_0.1", ".hidden_0.1", 'Größen "Übersee"_0.1', "x" * 300 + "_0.1", "$(id)_0.1"]
)
def test_odd_names_stay_inside_the_workspace(workspace: Workspace, name: str) -> None:
    """Whatever a job is called, its script lies in the workspace and runs."""
    script = workspace.script(Job("K7SALES", 1, name, behaviour=Behaviour(duration=0)))
    assert workspace.root in script.resolve().parents
    assert run(script).returncode == 0


@pytest.mark.parametrize(
    ("duration", "steps", "pause"),
    [(0, "1", "0.000"), (0.2, "1", "0.200"), (2, "4", "0.500"), (600, "140", "4.286"), (None, "forever", "1")],
)
def test_long_runs_take_long_steps(duration: float | None, steps: str, pause: str) -> None:
    """Steps and pause make up the duration; a run without one goes on for ever."""
    assert duration_parameters(duration) == {"steps": steps, "pause": pause}
