import socket
from pathlib import Path

import pytest

from histsearch.dashboard.server import DashboardServer
from histsearch.exceptions import HistsearchError
from tests.privileges import without_privileges

LOWEST_PORT = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


def refusal(host: str, port: int) -> str:
    with pytest.raises(HistsearchError) as refused:
        DashboardServer(host, port)
    (line,) = refused.value.lines
    assert line.startswith(f"can't listen on {host}:{port}: ")
    return line


@pytest.mark.parametrize("host", ["no-such-machine.invalid", "two..dots", ""])
def test_a_host_without_an_address_is_named(host: str) -> None:
    line = refusal(host, 8080)
    assert f'found no address of the host "{host}"' in line
    assert "--port" not in line


def test_an_address_of_another_machine_is_named() -> None:
    line = refusal("192.0.2.9", 8080)
    assert "this machine has no such address" in line
    assert "--port" not in line


def test_another_port_is_advised_where_it_is_in_use() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        line = refusal("127.0.0.1", taken.getsockname()[1])
    assert "in use; choose another with --port" in line


@pytest.mark.skipif(
    not LOWEST_PORT.exists() or int(LOWEST_PORT.read_text()) < 2,
    reason="every user of this machine may listen on every port",
)
def test_a_port_of_roots_is_named() -> None:
    with without_privileges():
        line = refusal("127.0.0.1", 1)
    assert "only root may listen on a port below 1024" in line


@pytest.mark.parametrize(
    ("host", "url", "is_local"),
    [
        ("127.0.0.1", "http://127.0.0.1", True),
        ("127.0.0.2", "http://127.0.0.2", True),
        ("localhost", "http://localhost", True),
        ("::1", "http://[::1]", True),
        ("0.0.0.0", "http://127.0.0.1", False),  # noqa: S104
        ("::", "http://[::1]", False),
    ],
)
def test_the_address_is_one_for_a_browser_of_this_machine(
    host: str, url: str, is_local: bool
) -> None:
    if ":" in host and not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    server = DashboardServer(host, 0)
    try:
        assert server.url == f"{url}:{server.server_port}/"
        assert server.is_local == is_local
        with socket.create_connection(
            (url.removeprefix("http://").strip("[]"), server.server_port)
        ):
            pass
    finally:
        server.server_close()
