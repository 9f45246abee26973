"""The report's page in a browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from histsearch.database.storage import Storage
from histsearch.reports.document.contents import write_report
from histsearch.reports.document.gathered import gather
from histsearch.space.reading import parse_space
from histsearch.studies.catalog import create_search
from tests.integration.claims import claimed

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium on the PATH")


@pytest.fixture
def page() -> Iterator[Page]:
    """A page without JavaScript."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser.new_context(java_script_enabled=False).new_page()
        browser.close()


def test_the_page_is_whole_without_javascript_and_asks_nothing_of_anywhere(
    storage: Storage, stripes: dict[str, Any], page: Page, tmp_path: Path
) -> None:
    from optuna.trial import TrialState

    study = create_search(storage, parse_space(stripes, source="test"))
    for curve in ([0.2, 0.3, 0.4], [0.3, 0.5, 0.625], [0.1, 0.2, 0.3]):
        claim = claimed(study)
        claim.record({"seconds": 60.0}, dict(enumerate(curve, start=1)))
        claim.tell(TrialState.COMPLETE, curve[-1])
    file, _ = write_report(gather(storage, ["stripes"]), tmp_path / "report", tmp_path)
    asked: list[str] = []
    messages: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.goto(file.as_uri())
    expect(page.get_by_role("heading", name="Verdict")).to_be_visible()
    images = page.get_by_role("img")
    expect(images).not_to_have_count(0)
    for number in range(images.count()):
        box = images.nth(number).bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) > 50, "an image that can't be shown is small"
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
    assert messages == []

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the report")).to_be_focused()
    assert page.pdf().startswith(b"%PDF")
