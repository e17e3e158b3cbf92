"""Pages while several targets are read: each target is shown whole, as of one read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from exporter.model import Execution
from exporter.publisher import Publisher
from exporter.snapshot import ExecutionView, Snapshot, TargetView
from exporter.telemetry import Telemetry
from tests.views import a_job, a_snapshot, a_view


class Interrupted(dict[tuple[str, str, str], ExecutionView]):
    """Executions at whose turn, in the middle of rendering a snapshot, something else happens first."""

    def __init__(self, happen: Callable[[], None]) -> None:
        super().__init__(
            {("K7SALES", "1", "e-1"): ExecutionView("production", Execution("K7SALES", "e-1", "1", "a", 5.0))}
        )
        self._happen = happen

    def __iter__(self) -> Iterator[tuple[str, str, str]]:
        """Iterate after the interruption."""
        self._happen()
        return super().__iter__()


def of_target(snapshot: Snapshot, name: str) -> Snapshot:
    """Return the snapshot as that of another target."""
    return replace(snapshot, target=TargetView(name, up=True, read_duration=0.1))


def test_a_page_never_shows_half_a_snapshot() -> None:
    """A target published while another one is being rendered shows that one as it was before."""
    publisher = Publisher(Telemetry(), ["production", "staging"])
    publisher.publish(a_snapshot([a_view(a_job("1"))]))
    pages = []

    def publish_the_other() -> None:
        publisher.publish(of_target(a_snapshot(), "staging"))
        pages.append(publisher.page("text").plain.join())

    after = a_snapshot([a_view(a_job("1", status="ERROR"))])
    publisher.publish(replace(after, executions=Interrupted(publish_the_other)))
    assert b'status="ERROR"} 0' in pages[0]
    assert b'dumbella_up{target="staging"} 1' in pages[0]
    assert b'status="ERROR"} 1' in publisher.page("text").plain.join()
    assert b'execution_id="e-1"' in publisher.page("text").plain.join()
