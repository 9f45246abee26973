import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from optuna.trial import TrialState
from playwright.sync_api import Page, expect, sync_playwright

from histsearch.database.storage import Storage
from histsearch.space.reading import parse_space
from histsearch.studies.catalog import create_search
from histsearch.studies.study import Study
from tests.acceptance.processes import Dashboard
from tests.integration.claims import claimed

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium on the PATH")


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser.new_page(viewport={"width": 1400, "height": 1000})
        browser.close()


@pytest.fixture
def told_study(storage: Storage, stripes: dict[str, Any]) -> Study:
    """A study whose trials were told by hand: the second is the best."""
    study = create_search(storage, parse_space(stripes, source="test"))
    for curve in ([0.2, 0.3, 0.4], [0.3, 0.5, 0.625], [0.1, 0.2, 0.3]):
        claim = claimed(study)
        claim.record({}, dict(enumerate(curve, start=1)))
        claim.tell(TrialState.COMPLETE, curve[-1])
    return study


def test_the_dashboard_shows_trials_curves_and_best_parameters(
    told_study: Study, dashboard: Dashboard, page: Page
) -> None:
    page.goto(dashboard.url)
    page.goto(f"{dashboard.server}/dashboard/studies/{told_study.id}")
    best = told_study.best()[0]
    expect(page.get_by_text(re.compile("Best Trial"))).to_be_visible(timeout=30_000)
    expect(page.get_by_text("0.625").first).to_be_visible()
    for name, value in best.params.items():
        expect(page.get_by_text(re.compile(rf"{name}\b.*{value}")).first).to_be_visible()
    expect(page.get_by_text("Intermediate values")).to_be_visible()
    for number in range(3):
        expect(page.get_by_text(f"trial #{number}", exact=True)).to_be_visible()

    page.goto(f"{dashboard.server}/dashboard/studies/{told_study.id}/trials")
    for number in range(3):
        expect(page.get_by_text(f"Trial {number}").first).to_be_visible(timeout=30_000)


def test_the_page_says_why_a_study_is_not_deleted(
    told_study: Study, dashboard: Dashboard, page: Page
) -> None:
    page.goto(dashboard.url)
    page.get_by_role("button", name="delete").first.click(timeout=30_000)
    page.get_by_role("button", name="Yes").click()
    expect(page.get_by_text("histsearch study delete NAME")).to_be_visible()
    page.reload()
    expect(page.get_by_text(told_study.name).first).to_be_visible(timeout=30_000)
