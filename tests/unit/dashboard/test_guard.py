from typing import Any

import optuna
import optuna_dashboard
import pytest

from histsearch.dashboard.access_token import AccessToken
from histsearch.dashboard.guard import Guard
from histsearch.dashboard.hosts import LOOPBACK_NAMES
from tests.unit.dashboard.wsgi import Response, ask

TOKEN = "0123456789+/abc&=;"  # noqa: S105


@pytest.fixture
def study() -> optuna.Study:
    study = optuna.create_study(study_name="birds")
    study.add_trial(optuna.create_trial(value=0.5))
    study.enqueue_trial({})
    study.ask()
    return study


@pytest.fixture
def app(study: optuna.Study) -> Any:
    """optuna-dashboard as it is."""
    return optuna_dashboard.wsgi(study._storage)


@pytest.fixture
def guard(app: Any) -> Guard:
    return Guard(app, AccessToken(TOKEN), LOOPBACK_NAMES)


@pytest.fixture
def cookie(guard: Guard) -> str:
    """The cookie that the printed address sets."""
    opened = ask(guard, "GET", "/", query=AccessToken(TOKEN).query)
    return opened.headers["Set-Cookie"].split(";")[0]


def test_the_printed_address_sets_a_cookie_and_leaves_the_token_out(guard: Guard) -> None:
    opened = ask(guard, "GET", "/dashboard/x y", query=f"a=1&{AccessToken(TOKEN).query}&b=")
    assert (opened.status, opened.headers["Location"]) == (303, "/dashboard/x%20y?a=1&b=")
    pair, *attributes = opened.headers["Set-Cookie"].split("; ")
    assert set(attributes) == {"Path=/", "HttpOnly", "SameSite=Strict"}
    assert ask(guard, "GET", "/api/studies", COOKIE=pair).status == 200


def test_ports_have_cookies_of_their_own(guard: Guard, cookie: str) -> None:
    query = AccessToken(TOKEN).query
    far = ask(guard, "GET", "/", query=query, HOST="localhost:9090").headers["Set-Cookie"]
    assert far.partition("=")[0] != cookie.partition("=")[0]


@pytest.mark.parametrize("path", ["//evil.example/", "/\\evil.example", "/\r\nSet-Cookie: a=b"])
def test_the_way_on_stays_on_this_server(guard: Guard, path: str) -> None:
    location = ask(guard, "GET", path, query=AccessToken(TOKEN).query).headers["Location"]
    assert location.startswith("/")
    assert not location.startswith(("//", "/\\"))
    assert location.isprintable()


@pytest.mark.parametrize(
    "query",
    ["", "token", "token=", f"token={TOKEN[:-1]}", "token=%ff%00", "token=\xe9", f"Token={TOKEN}"],
)
@pytest.mark.parametrize("cookies", ["", "histsearch-dashboard-8080=", 'a="; b=\xe9,,;=', TOKEN])
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_without_the_token_nothing_is_answered(
    guard: Guard, method: str, query: str, cookies: str
) -> None:
    for path in ("/", "/dashboard", "/static/bundle.js", "/favicon.ico", "/csv/0"):
        refused = ask(guard, method, path, query=query, COOKIE=cookies)
        assert (refused.status, refused.headers["Cache-Control"]) == (403, "no-store")
        assert method == "HEAD" or b"printed" in refused.body
    refused = ask(guard, "DELETE", "/api/studies/0", query=query, COOKIE=cookies)
    assert refused.status == 403
    assert "open the address that histsearch dashboard printed" in refused.reason


def test_the_token_counts_in_any_encoding_and_the_cookie_among_others(
    guard: Guard, cookie: str
) -> None:
    encoded = "".join(f"%{ord(one):02x}" for one in TOKEN)
    assert ask(guard, "HEAD", "/", query=f"tok%65n={encoded}").status == 303
    name = cookie.partition("=")[0]
    among = f'a="b\\"; {name}=old; {cookie}; {name}='
    assert ask(guard, "GET", "/api/studies", COOKIE=among).status == 200


def test_head_has_the_headers_alone(guard: Guard, cookie: str) -> None:
    for cookies in ("", cookie):
        got, head = (ask(guard, how, "/dashboard", COOKIE=cookies) for how in ("GET", "HEAD"))
        assert (head.status, head.body) == (got.status, b"")
        assert head.headers["Content-Length"] == str(len(got.body))


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST.:1", 200),
        ("127.0.0.1:65535", 200),
        ("[::1]:9090", 200),
        ("[0:0:0:0:0:0:0:1]", 200),
        ("evil.example", 421),
        ("evil.example:8080", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("127.0.0.1:8080,evil.example", 421),
        ("evil.example@127.0.0.1", 421),
        ("::1", 421),
        ("", 421),
    ],
)
def test_the_host_is_one_of_the_dashboards_own(guard: Guard, host: str, status: int) -> None:
    query = AccessToken(TOKEN).query
    opened = ask(guard, "GET", "/", query=query, HOST=host)
    assert opened.status == (303 if status == 200 else status)
    cookies = opened.headers.get("Set-Cookie", "").split(";")[0]
    answer = ask(guard, "GET", "/api/studies", HOST=host, COOKIE=cookies)
    assert answer.status == status
    assert status == 200 or "--allowed-host NAME" in answer.reason


def change(guard: Guard, cookie: str, method: str, path: str, **sent: object) -> Response:
    return ask(guard, method, path, body=sent, COOKIE=cookie)


@pytest.mark.parametrize(
    ("method", "path", "sent", "command"),
    [
        ("DELETE", "/api/studies/0", {}, "histsearch study delete NAME"),
        ("DELETE", "/api/studies/0/", {}, "histsearch study delete NAME"),
        ("POST", "/api/studies/0/rename", {"study_name": "b"}, "no command of histsearch"),
        (
            *("POST", "/api/studies"),
            {"study_name": "b", "directions": ["maximize"]},
            "histsearch study create SPACE",
        ),
        ("POST", "/api/trials/1/tell", {"state": "Fail"}, "histsearch study pause NAME"),
        ("POST", "/api/trials/1/user-attrs", {"user_attrs": {"a": 1}}, "no command of histsearch"),
        ("DELETE", "/api/stud\xffies/0", {}, "histsearch study --help"),
        ("delete", "/api/studies/0", {}, "histsearch study --help"),
    ],
)
def test_what_harms_a_search_is_refused_with_our_command(
    guard: Guard,
    cookie: str,
    study: optuna.Study,
    method: str,
    path: str,
    sent: dict[str, object],
    command: str,
) -> None:
    storage = study._storage
    before = [(one.study_name, storage.get_all_trials(0)) for one in storage.get_all_studies()]
    refused = change(guard, cookie, method, path, **sent)
    assert refused.status == 403
    assert command in refused.reason
    after = [(one.study_name, storage.get_all_trials(0)) for one in storage.get_all_studies()]
    assert after == before


def test_of_all_routes_that_change_something_the_notes_are_allowed(
    app: Any, guard: Guard, cookie: str
) -> None:
    changing = [route for route in app.routes if route.method not in ("GET", "HEAD")]
    let_through = set()
    for route in changing:
        path = route.rule.replace("<study_id:int>", "0").replace("<trial_id:int>", "1")
        answer = change(guard, cookie, route.method, path, version=1, body="A note.")
        if answer.status != 403:
            assert answer.status == 204
            let_through.add((route.method, route.rule))
    assert len(changing) > 10
    assert let_through == {
        ("PUT", "/api/studies/<study_id:int>/note"),
        ("PUT", "/api/studies/<study_id:int>/<trial_id:int>/note"),
    }


def test_read_only_shows_everything_and_takes_no_note(app: Any, cookie: str) -> None:
    guard = Guard(app, AccessToken(TOKEN), LOOPBACK_NAMES, read_only=True)
    refused = change(guard, cookie, "PUT", "/api/studies/0/note", version=1, body="A note.")
    assert refused.status == 403
    assert "--read-only" in refused.reason
    for path in ("/dashboard", "/static/bundle.js", "/api/meta", "/api/studies/0", "/csv/0"):
        assert ask(guard, "GET", path, COOKIE=cookie, ACCEPT_ENCODING="").status == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8080", 204),
        ("http://127.0.0.1:9090", 403),
        ("http://evil.example", 403),
        ("null", 403),
        ("http://[", 403),
    ],
)
def test_a_change_comes_from_the_dashboards_own_page(
    guard: Guard, cookie: str, origin: str, status: int
) -> None:
    note = {"version": 1, "body": "A note."}
    answer = ask(guard, "PUT", "/api/studies/0/note", body=note, COOKIE=cookie, ORIGIN=origin)
    assert answer.status == status


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "many"])
def test_a_refusal_outlives_any_length_that_a_request_claims(guard: Guard, length: str) -> None:
    assert ask(guard, "POST", "/api/studies", length=length).status == 403
