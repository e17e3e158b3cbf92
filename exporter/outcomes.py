"""How executions ended: ask Dumbella for the results of those that did, within bounds and without favourites."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from exporter.cockpit import CockpitClient, CockpitError, RequestTimeout
from exporter.observe import ExecutionKey, Outcome, State, due

#: Results asked for after one read; the others wait for the next.
RESULTS_PER_READ = 200
#: Results asked for at a time.
CONCURRENCY = 8


@dataclass(slots=True)
class Outcomes:
    """What the results service said.

    Attributes:
        answers: per application, an outcome for each execution that was asked about; ``None`` for no answer yet. What
            there was no time to ask about is not among them.
        errors: per application, the latest failure of the service.
    """

    answers: dict[str, dict[ExecutionKey, Outcome | None]] = field(default_factory=dict)
    errors: dict[str, CockpitError] = field(default_factory=dict)


async def ask_outcomes(client: CockpitClient, states: Mapping[str, State], deadline: float) -> Outcomes:
    """Ask about ended executions until the deadline, those of all applications in turn.

    Args:
        client: whom to ask.
        states: per application, what is pending.
        deadline: a moment on the event loop's clock.
    """
    clock = asyncio.get_running_loop().time
    questions = deque(itertools.islice(_in_turn(states), RESULTS_PER_READ))
    outcomes = Outcomes()
    cut_off: list[tuple[str, ExecutionKey, CockpitError]] = []

    async def ask_on() -> None:
        while questions and clock() < deadline:
            application, key = questions.popleft()
            try:
                result = await client.result(key[1], deadline)
            except CockpitError as error:
                if isinstance(error, RequestTimeout):
                    cut_off.append((application, key, error))
                else:
                    _note_failure(outcomes, application, key, error)
                continue
            answers = outcomes.answers.setdefault(application, {})
            answers[key] = None if result.outcome == "running" else result.outcome

    await asyncio.gather(*(ask_on() for _ in range(CONCURRENCY)))
    if not outcomes.answers:
        # A service that answers others is slow at worst; one that answers nobody until the deadline is failing.
        for application, key, error in cut_off:
            _note_failure(outcomes, application, key, error)
    return outcomes


def _note_failure(outcomes: Outcomes, application: str, key: ExecutionKey, error: CockpitError) -> None:
    outcomes.answers.setdefault(application, {})[key] = None
    outcomes.errors[application] = error


def _in_turn(states: Mapping[str, State]) -> Iterator[tuple[str, ExecutionKey]]:
    """Yield one pending execution of each application after the other, those that were asked least often first."""
    queues: Iterable[Iterable[tuple[str, ExecutionKey] | None]] = [
        [(application, key) for key in due(state, RESULTS_PER_READ)] for application, state in states.items()
    ]
    for turn in itertools.zip_longest(*queues):
        yield from (question for question in turn if question is not None)
