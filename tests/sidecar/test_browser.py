"""A real browser: what a person who is signed in to Grafana sees and does, from the link to the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.installation import Simulator
from tests.loopback import free_port
from tests.processes import poll
from tests.sidecar.browser import opened, person, state_of
from tests.sidecar.grafana import Grafana, User, grafana
from tests.sidecar.running import PATIENT, WIDE, Sidecar, begin, ended, link, sidecar

POLICY = (
    '  policy: [{name: sre, effect: allow, jobs: ["etl_*"], principals: ["user:alice", "user:bob"], cooldown: 0s}]\n'
)


@pytest.fixture(scope="module")
def stand_in() -> Iterator[Grafana]:
    """A Grafana with an editor, another one, and a viewer."""
    sessions = {
        "alice-session": User(id=7, login="alice", name="Alice Example"),
        "bob-session": User(id=8, login="bob", name="Bob Example"),
        "victor-session": User(id=9, login="victor", roles=((1, "Viewer"),)),
    }
    with grafana(**sessions) as running:
        yield running


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, installation: Simulator, stand_in: Grafana) -> Iterator[Sidecar]:
    """A sidecar that knows people by their sessions in Grafana."""
    with _sidecar(tmp_path_factory.mktemp("sidecar"), installation, stand_in) as running:
        yield running


@contextmanager
def _sidecar(
    folder: Path, installation: Simulator, stand_in: Grafana, more: str = PATIENT, port: int | None = None
) -> Iterator[Sidecar]:
    auth = f"  auth: [{{type: grafana, url: '{stand_in.url}', timeout: 1m}}]\n  grafana_url: {stand_in.url}\n"
    with sidecar(folder, installation, auth=auth, policy=POLICY, more=WIDE + more, port=port) as running:
        yield running


@pytest.fixture
def run(installation: Simulator) -> dict[str, Any]:
    """One run that lasts."""
    return begin(installation)[0]


def intents(live: Sidecar, run: dict[str, Any]) -> int:
    """Return how many kills of a run were on their way."""
    return sum(
        record["stage"] == "intent" and record["target"]["execution_id"] == run["execution_id"]
        for record in live.records()
    )


def test_from_the_link_to_confirmed(
    browser: Browser, live: Sidecar, installation: Simulator, stand_in: Grafana, run: dict[str, Any]
) -> None:
    """A click in the dashboard, a look, a reason, a click: the process is gone, and the way back is there."""
    with person(browser) as context:
        page = opened(context, live.url + link(run))
        assert "Kill this run of etl_load_0.1?" == page.locator("h1").inner_text()
        assert "Alice Example" in page.locator("footer").inner_text()
        page.fill("#reason", "hangs since noon")
        page.click("button")
        assert "confirmed" == state_of(page)
        assert f"{stand_in.url}/d/dumbella-jobs" == page.locator("main a").last.get_attribute("href")
    assert "killed" == ended(installation, run)
    record = next(one for one in live.records() if one["stage"] == "intent" and one["reason"] == "hangs since noon")
    assert ("alice", "grafana", "7") == (record["actor"]["login"], record["actor"]["provider"], record["actor"]["id"])


def test_keyboard_is_enough_and_scripts_are_not_needed(
    browser: Browser, live: Sidecar, installation: Simulator, run: dict[str, Any]
) -> None:
    """Without JavaScript and without a mouse, in the dark and on a phone, the way is the same."""
    phone = {"width": 360, "height": 640}
    with person(browser, java_script_enabled=False, color_scheme="dark", viewport=phone) as context:
        page = context.new_page()
        page.goto(live.url + link(run))
        page.keyboard.press("Tab")
        assert "Skip to the content" == page.locator(":focus").inner_text()
        page.locator("#reason").focus()
        page.keyboard.type("hangs")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert "confirmed" == state_of(page)
    assert "killed" == ended(installation, run)


def test_keyboard_order_is_that_of_the_page(browser: Browser, live: Sidecar, run: dict[str, Any]) -> None:
    """The Tab key leads from the top to the reason, the button that kills, and the way out, in this order."""
    with person(browser) as context:
        page = context.new_page()
        page.goto(live.url + link(run))
        reached = []
        for _ in range(6):
            page.keyboard.press("Tab")
            focused = page.locator(":focus")
            reached.append(focused.get_attribute("name") or focused.inner_text())
    expected = ["Skip to the content", "reason", "Kill this run", "Leave it running", "Job Manager", "Grafana"]
    assert expected == reached


#: The contrast of a text or an edge with what is behind it, as WCAG computes it.
CONTRAST = """(element, property) => {
  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    probe.clearRect(0, 0, 1, 1); probe.fillStyle = colour; probe.fillRect(0, 0, 1, 1);
    return [...probe.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const front = rgba(getComputedStyle(element)[property]);
  let behind = element;
  while (behind && rgba(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
  document.body.style.backgroundColor = "Canvas";
  const back = rgba(getComputedStyle(behind || document.body).backgroundColor);
  const [dark, light] = [luminance(front), luminance(back)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_told_apart(browser: Browser, live: Sidecar, run: dict[str, Any], scheme: Any) -> None:
    """Text has a contrast of at least 4.5, the edge of a field one of 3, in either colour scheme."""
    with person(browser, color_scheme=scheme) as context:
        page = context.new_page()
        found: dict[str, float] = {}
        for path, selectors in (("/", ("h1", "a.kill", "td", "summary", "footer a")), (link(run), ("button", "code"))):
            page.goto(live.url + path)
            found |= {name: page.locator(name).first.evaluate(CONTRAST, "color") for name in selectors}
        edge = page.locator("#reason").evaluate(CONTRAST, "borderTopColor")
    assert {} == {name: contrast for name, contrast in found.items() if contrast < 4.5}
    assert edge >= 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone(browser: Browser, live: Sidecar, run: dict[str, Any], scheme: Any) -> None:
    """No page is wider than a phone, in either colour scheme, and every field has its label."""
    with person(browser, viewport={"width": 360, "height": 640}, color_scheme=scheme) as context:
        for path in ("/", link(run), f"/job?target=simulated&application=K7SALES&job={run['job_id']}", "/nothing"):
            page = context.new_page()
            page.goto(live.url + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
            assert 1 == page.locator("h1").count() == page.locator("main").count()
            assert "en" == page.locator("html").get_attribute("lang")
        page = context.new_page()
        page.goto(live.url + link(run))
        assert 1 == page.get_by_label("Reason").count() == page.get_by_role("button", name="Kill this run").count()


def test_without_a_session_nobody_kills(
    browser: Browser, live: Sidecar, installation: Simulator, run: dict[str, Any]
) -> None:
    """Who is not signed in to Grafana is told so, and sees nothing of the job."""
    with person(browser, "") as context:
        page = opened(context, live.url + link(run))
        assert "Sign in to Grafana" in page.locator("main").inner_text()
        assert (0, False) == (page.locator("form").count(), "etl_load" in page.content())
    assert None is ended(installation, run)


def test_small_role_is_not_enough(
    browser: Browser, live: Sidecar, installation: Simulator, run: dict[str, Any]
) -> None:
    """A viewer sees no form."""
    with person(browser, "victor") as context:
        page = opened(context, live.url + link(run))
        assert (0, False) == (page.locator("form").count(), "etl_load" in page.content())
    assert None is ended(installation, run)


def test_double_click_is_one_kill(browser: Browser, live: Sidecar, run: dict[str, Any]) -> None:
    """A hasty person kills once."""
    with person(browser) as context:
        page = opened(context, live.url + link(run))
        page.dblclick("button")
        assert "confirmed" == state_of(page)
    assert 1 == intents(live, run)


def test_back_and_reload_do_not_repeat(browser: Browser, live: Sidecar, run: dict[str, Any]) -> None:
    """Going back and sending the form again, and reloading what came of it, leads to the same kill."""
    with person(browser) as context:
        page = opened(context, live.url + link(run))
        page.click("button")
        assert "confirmed" == state_of(page)
        first = page.url
        page.reload()
        assert "confirmed" == state_of(page)
        page.go_back()
        page.wait_for_load_state()
        if page.locator("button").count():
            page.click("button")
            assert first == (state_of(page) and page.url)
        else:
            # Nothing is cached: the page was made anew, and knows.
            assert "Already finished" == page.locator("h1").inner_text()
    assert 1 == intents(live, run)


def test_second_tab_and_second_person_join(
    browser: Browser, live: Sidecar, installation: Simulator, run: dict[str, Any]
) -> None:
    """Two tabs and two people with the page open end up at one kill."""
    with person(browser) as alice, person(browser, "bob") as bob:
        pages = [opened(context, live.url + link(run)) for context in (alice, alice, bob)]
        installation.switch_faults("kill_ignored")
        for page in pages:
            page.click("button")
            page.wait_for_url("**/kills/*")
        assert 1 == len({page.url for page in pages})
        assert "It is being killed already." in opened(alice, live.url + link(run)).locator("main").inner_text()
        installation.switch_faults()
        installation.kill(run["execution_id"])
        assert "confirmed" == state_of(pages[0])
    assert 1 == intents(live, run)


def test_expired_page_leads_to_a_new_one(
    tmp_path: Path, browser: Browser, installation: Simulator, stand_in: Grafana, run: dict[str, Any]
) -> None:
    """A page that was open for too long kills nothing, and its link leads to one that does."""
    tmp_path.joinpath("page-key").write_text("0123456789abcdef0123456789abcdef\n")
    key, port = "  secret_file: page-key\n", free_port()
    short = PATIENT.replace("}", ", page_token: 1s}")
    with person(browser) as context:
        with _sidecar(tmp_path, installation, stand_in, short + key, port) as live:
            page = opened(context, live.url + link(run))
        expiry = int(page.locator("input[name=token]").input_value().partition(".")[0])
        poll(lambda: time.time() > expiry)
        # The same sidecar again, whose pages do not expire while a busy machine clicks.
        with _sidecar(tmp_path, installation, stand_in, PATIENT + key, port) as live:
            page.click("button")
            page.wait_for_load_state()
            assert "too old" in page.locator("main").inner_text()
            assert (None, 0) == (ended(installation, run), intents(live, run))
            page.click("main a")
            page.click("button")
            assert "confirmed" == state_of(page)


def test_stale_row_shows_no_form(browser: Browser, live: Sidecar, run: dict[str, Any]) -> None:
    """A row of a dashboard that was open for days leads to no form."""
    with person(browser) as context:
        page = opened(context, live.url + link(run, started=str(int(run["started_at"] * 1000) - 86_400_000)))
        assert ("Not the run you clicked", 0) == (page.locator("h1").inner_text(), page.locator("form").count())


def test_job_manager_leads_to_the_same_page(browser: Browser, live: Sidecar, run: dict[str, Any]) -> None:
    """Without Grafana at hand, the Job Manager's link and its update work as well."""
    with person(browser) as context:
        page = context.new_page()
        page.goto(live.url)
        row = page.locator("tr", has_text=run["execution_id"])
        row.get_by_text("Url").click()
        assert f"/services/jobs/{run['job_id']}/run/async" in row.inner_text()
        row.get_by_role("link", name="Update").click()
        page.wait_for_load_state()
        page.locator("tr", has_text=run["execution_id"]).get_by_role("link", name="Kill").click()
        page.wait_for_load_state()
        page.get_by_role("link", name="Leave it running").click()
        page.wait_for_load_state()
        assert "Job Manager" == page.locator("h1").inner_text()
        page.locator("tr", has_text=run["execution_id"]).get_by_role("link", name="Kill").click()
        page.wait_for_load_state()
        page.click("button")
        assert "confirmed" == state_of(page)


def test_sessions_leave_no_trace(browser: Browser, live: Sidecar, run: dict[str, Any]) -> None:
    """Neither Grafana's cookie nor ours nor a page's token is in the log, the audit, the metrics or a page."""
    with person(browser) as context:
        page = opened(context, live.url + link(run))
        token = page.locator("input[name=token]").input_value()
        page.click("button")
        assert "confirmed" == state_of(page)
        secrets = [token, "-session", *(cookie["value"] for cookie in context.cookies())]
        pages = page.content()
        page.goto(f"{live.url}/metrics")
        everything = pages + page.content() + live.process.log + live.process.stdout + live.audit.read_text()
    assert [] == [secret for secret in secrets if secret in everything]
