import optuna
import optuna_dashboard
import pytest

from histsearch.dashboard.page import showing_refusals
from tests.unit.dashboard.wsgi import ask

SCRIPT = "/histsearch/refusals.js"


@pytest.fixture
def storage() -> optuna.storages.BaseStorage:
    return optuna.storages.InMemoryStorage()


@pytest.mark.parametrize("path", ["/dashboard", "/dashboard/studies/1"])
def test_the_page_has_the_script_before_its_own(
    storage: optuna.storages.BaseStorage, path: str
) -> None:
    app = optuna_dashboard.wsgi(storage)
    kept = ask(app, "GET", path).headers
    conditions = {"IF_NONE_MATCH": kept["Etag"], "IF_MODIFIED_SINCE": kept["Last-Modified"]}
    for sent in ({}, conditions, {"RANGE": "bytes=0-9"}):
        page, head = (
            ask(showing_refusals(app), how, path, body=None, **sent) for how in ("GET", "HEAD")
        )
        before, _, after = page.body.partition(f'<script src="{SCRIPT}"></script>'.encode())
        assert b"<script" not in before
        assert b"bundle.js" in after
        assert (page.status, head.status, head.body) == (200, 200, b"")
        lengths = {int(one.headers["Content-Length"]) for one in (page, head)}
        assert lengths == {len(page.body)}
        assert "'self'" in page.headers["Content-Security-Policy"]


def test_the_script_is_served_and_all_else_is_as_it_was(
    storage: optuna.storages.BaseStorage,
) -> None:
    app = optuna_dashboard.wsgi(storage)
    script = ask(showing_refusals(app), "GET", SCRIPT)
    assert script.headers["Content-Type"].startswith("text/javascript")
    assert b"window.fetch" in script.body
    for path in ("/", "/api/studies", "/static/bundle.js", "/dashboards"):
        bare, ours = (
            ask(one, "GET", path, ACCEPT_ENCODING="") for one in (app, showing_refusals(app))
        )
        assert (ours.status, ours.body) == (bare.status, bare.body)
