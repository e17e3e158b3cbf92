"""The policy: who may kill what, and who may look."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.config.kill import Rule, View
from exporter.sidecar.identity import Principal
from exporter.sidecar.policy import Decision, Policy

ALICE = Principal("grafana", "7", "alice", role="Editor", teams=("sre",))
VIEWER = Principal("grafana", "8", "victor", role="Viewer")
CI = Principal("token", "ci", "ci", targets=("prod*",))


def rule(**settings: Any) -> Rule:
    """Return a rule that allows the team sre everything, with ``settings`` on top."""
    return Rule(**{"name": "sre", "effect": "allow", "principals": ("team:sre",), **settings})


def policy(*rules: Rule, **view: Any) -> Policy:
    """Return a policy of ``rules``."""
    return Policy(rules, View(**view))


def decide(rules: Policy, principal: Principal = ALICE, **job: str) -> Decision:
    """Return what ``rules`` say about a job."""
    return rules.decide(
        principal, **{"target": "production", "application": "K7SALES", "job_name": "etl_load_0.1", **job}
    )


class TestDecide:
    """Whether somebody may kill a job."""

    def test_without_rules_nobody_may_kill(self) -> None:
        """The default is a denial that names no rule."""
        assert Decision("deny") == decide(policy())

    def test_first_rule_that_matches_decides(self) -> None:
        """A denial before an allowance holds, one after it does not."""
        allow, deny = rule(), rule(name="frozen", effect="deny")
        assert ["deny", "allow"] == [decide(policy(deny, allow)).effect, decide(policy(allow, deny)).effect]

    @pytest.mark.parametrize(
        "settings",
        [
            {"targets": ("staging",)},
            {"applications": ("M2*",)},
            {"jobs": ("ETL_*",)},
            {"principals": ("team:dba", "user:bob")},
            {"principals": ("proxy:team:sre",)},
            {"principals": ("role:Admin",)},
        ],
    )
    def test_rule_matches_only_as_a_whole(self, settings: dict[str, Any]) -> None:
        """A rule that fits in all but one respect does not match; upper and lower case differ."""
        assert "deny" == decide(policy(rule(**settings))).effect

    @pytest.mark.parametrize("principal", ["team:sre", "grafana:team:sre", "user:alice", "grafana:role:Editor"])
    def test_principal_may_be_qualified(self, principal: str) -> None:
        """Users, teams and roles match with and without their provider."""
        assert "allow" == decide(policy(rule(principals=(principal,)))).effect

    def test_decision_carries_the_conditions_of_its_rule(self) -> None:
        """What the rule demands comes with the decision."""
        settings = {"require_reason": True, "min_age": 60.0, "cooldown": 0.0, "dry_run": True}
        expected = Decision("allow", "sre", require_reason=True, min_age=60, cooldown=0, dry_run=True)
        assert expected == decide(policy(rule(**settings)))

    def test_token_acts_on_its_targets_only(self) -> None:
        """A rule cannot give a token more than its own targets."""
        rules = policy(rule(principals=("token:ci",)))
        assert ["allow", "deny"] == [decide(rules, CI, target=name).effect for name in ("production", "staging")]

    def test_token_does_not_match_a_user_of_its_name(self) -> None:
        """``user:ci`` is no token."""
        assert "deny" == decide(policy(rule(principals=("user:ci", "token:user:ci"))), CI).effect


class TestView:
    """Whether somebody may look."""

    def test_who_may_kill_something_may_look_there(self) -> None:
        """A rule shows the targets and applications that it covers, and no others."""
        rules = policy(rule(applications=("K7*",), jobs=("nothing",)))
        seen = [rules.may_view(ALICE, target="production", application=code) for code in ("K7SALES", "M2STOCK")]
        assert ([True, False], True) == (seen, rules.may_enter(ALICE))

    def test_denial_opens_nothing(self) -> None:
        """Being named in a rule that denies is no reason to look."""
        rules = policy(rule(effect="deny"))
        assert (False, False) == (rules.may_enter(ALICE), rules.may_view(ALICE, target="t", application="a"))

    def test_role_suffices_where_the_configuration_says_so(self) -> None:
        """With a least role, people who may kill nothing may look."""
        seen = [policy(**view).may_enter(VIEWER) for view in ({}, {"min_role": "Viewer"}, {"min_role": "Editor"})]
        assert [False, True, False] == seen

    def test_token_sees_its_targets_only(self) -> None:
        """A role of the view does not extend a token's targets."""
        rules = policy(rule(principals=("token:ci",)), min_role="Viewer")
        seen = [rules.may_view(CI, target=name, application="K7SALES") for name in ("production", "staging")]
        assert [True, False] == seen
