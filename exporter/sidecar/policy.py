"""Who may kill what, and who may look: ordered rules, the first match wins, and without a match the answer is no."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from exporter.config.globs import matches
from exporter.config.kill import ROLES, Rule, View
from exporter.sidecar.identity import Principal

Effect = Literal["allow", "deny"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policy says about one principal and one job.

    Attributes:
        effect: whether it may be killed.
        rule: the name of the rule that matched, empty if none did.
        require_reason: whether a reason has to be given.
        min_age: seconds that the execution must have run.
        cooldown: seconds after a kill of the execution in which it is not killed again.
        dry_run: whether everything happens but the kill itself.
    """

    effect: Effect
    rule: str = ""
    require_reason: bool = False
    min_age: float = 0.0
    cooldown: float = 0.0
    dry_run: bool = False

    @property
    def allowed(self) -> bool:
        """Whether the job may be killed."""
        return self.effect == "allow"


_DENIED = Decision("deny")


class Policy:
    """The rules of the configuration.

    Args:
        rules: in order.
        view: who may look beside those whom the rules name.
    """

    def __init__(self, rules: Sequence[Rule], view: View) -> None:
        self._rules = tuple(rules)
        self._view = view

    def decide(self, principal: Principal, *, target: str, application: str, job_name: str) -> Decision:
        """Return what holds for a job: the first rule that matches, else a denial."""
        if not matches(target, principal.targets):
            return _DENIED
        names = frozenset(principal.names())
        for rule in self._rules:
            if (
                not names.isdisjoint(rule.principals)
                and matches(target, rule.targets)
                and matches(application, rule.applications)
                and matches(job_name, rule.jobs)
            ):
                return Decision(
                    effect=rule.effect,
                    rule=rule.name,
                    require_reason=rule.require_reason,
                    min_age=rule.min_age,
                    cooldown=rule.cooldown,
                    dry_run=rule.dry_run,
                )
        return _DENIED

    def may_enter(self, principal: Principal) -> bool:
        """Tell whether a principal may see anything: some rule allows it something, or its role suffices."""
        return self._may_look(principal, lambda _: True)

    def may_view_target(self, principal: Principal, target: str) -> bool:
        """Tell whether a principal may see executions of any application of a target."""
        return matches(target, principal.targets) and self._may_look(
            principal, lambda rule: matches(target, rule.targets)
        )

    def may_view(self, principal: Principal, *, target: str, application: str) -> bool:
        """Tell whether a principal may see an application's executions: a rule allows it some there, or its role."""
        return matches(target, principal.targets) and self._may_look(
            principal, lambda rule: matches(target, rule.targets) and matches(application, rule.applications)
        )

    def _may_look(self, principal: Principal, concerns: Callable[[Rule], bool]) -> bool:
        """Tell whether any of the rules concerned allows a principal something, or its role suffices."""
        names = frozenset(principal.names())
        named = any(
            rule.effect == "allow" and not names.isdisjoint(rule.principals) and concerns(rule) for rule in self._rules
        )
        return named or self._role_suffices(principal)

    def _role_suffices(self, principal: Principal) -> bool:
        least = self._view.min_role
        if least is None or principal.role not in ROLES:
            return False
        return ROLES.index(principal.role) >= ROLES.index(least)
