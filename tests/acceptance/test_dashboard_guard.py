"""The dashboard as strangers find it: another user of the machine, a page of a foreign site."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from http.cookiejar import CookieJar
from typing import Any

import pytest

from histsearch.database.storage import Storage
from histsearch.space.reading import parse_space
from histsearch.studies.catalog import create_search, list_studies
from histsearch.studies.study import Study
from tests.acceptance.processes import Dashboard, Start, start_dashboard

TOKEN = "a-token-of-this-test"  # noqa: S105

# What another user of the machine can try without the token; prints what came of each.
ATTACK = """
import encodings.idna, json, os, sys, urllib.error, urllib.request

os.setgroups([])
os.setgid(65534)
os.setuid(65534)  # only now: the interpreter and its modules may be locked to others
server, study, pid = sys.argv[1:]

def asked(method, path, **headers):
    request = urllib.request.Request(server + path, method=method, headers=headers, data=b"{}")
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code

def read(path):
    try:
        return open(path, "rb").read().decode()
    except PermissionError:
        return None

print(json.dumps({
    "page": asked("GET", "/dashboard"),
    "list": asked("GET", "/api/studies"),
    "guess": asked("GET", "/?token=a-token-of-another"),
    "rename": asked("POST", f"/api/studies/{study}/rename"),
    "delete": asked("DELETE", f"/api/studies/{study}"),
    "command line": read(f"/proc/{pid}/cmdline"),
    "environment": read(f"/proc/{pid}/environ"),
}))
"""


@pytest.fixture
def study(storage: Storage, stripes: dict[str, Any]) -> Study:
    return create_search(storage, parse_space(stripes, source="test"))


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return {**environment, "HISTSEARCH_DASHBOARD_TOKEN": TOKEN}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_another_user_neither_sees_nor_deletes_studies(
    study: Study, storage: Storage, dashboard: Dashboard
) -> None:
    attacked = subprocess.run(
        [sys.executable, "-c", ATTACK, dashboard.server, str(study.id), str(dashboard.pid)],
        env={},
        capture_output=True,
        text=True,
        check=True,
    )
    came_of = json.loads(attacked.stdout)
    assert TOKEN not in came_of.pop("command line")
    assert came_of.pop("environment") is None
    assert set(came_of.values()) == {403}
    assert [one.name for one in list_studies(storage)] == [study.name]


def test_a_foreign_site_is_refused_and_so_is_the_owner_who_deletes(
    study: Study, storage: Storage, dashboard: Dashboard
) -> None:
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    with browser.open(dashboard.url) as page:
        assert page.url == f"{dashboard.server}/dashboard"
    list_, delete = ("GET", "/api/studies"), ("DELETE", f"/api/studies/{study.id}")
    assert ask(browser, dashboard, *list_)[0] == 200
    # With the owner's cookie, which a browser wouldn't send along.
    for method, path in (list_, delete):
        status, answer = ask(browser, dashboard, method, path, Host="evil.example")
        assert status == 421
        assert "evil.example" in answer["reason"]
    status, answer = ask(browser, dashboard, *delete)
    assert status == 403
    assert "histsearch study delete NAME" in answer["reason"]
    assert [one.name for one in list_studies(storage)] == [study.name]


def test_a_dashboard_for_others_to_read_is_reached_by_the_names_it_was_given(
    study: Study, start: Start
) -> None:
    options = ("--host", "0.0.0.0", "--allowed-host", "gpu01.example.org", "--read-only")  # noqa: S104
    dashboard = start_dashboard(start, *options)
    assert dashboard.server.startswith("http://127.0.0.1:")
    assert "warning: whoever reaches port" in dashboard.printed
    assert "nothing is encrypted" in dashboard.printed
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    browser.open(dashboard.url).close()
    for host, status in (("gpu01.example.org", 200), ("gpu02.example.org", 421)):
        assert (
            ask(browser, dashboard, "GET", "/api/studies", Host=with_port(host, dashboard))[0]
            == status
        )
    status, answer = ask(browser, dashboard, "PUT", f"/api/studies/{study.id}/note")
    assert status == 403
    assert "--read-only" in answer["reason"]


def with_port(host: str, dashboard: Dashboard) -> str:
    return f"{host}:{dashboard.server.rpartition(':')[2]}"


def ask(
    browser: urllib.request.OpenerDirector,
    dashboard: Dashboard,
    method: str,
    path: str,
    **headers: str,
) -> tuple[int, Any]:
    request = urllib.request.Request(  # noqa: S310 - a local address
        dashboard.server + path,
        method=method,
        headers=headers,
        data=None if method == "GET" else b"{}",
    )
    try:
        with browser.open(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
