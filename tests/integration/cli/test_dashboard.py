import socket
import subprocess
import sys

from sqlalchemy.engine import URL

from histsearch.database.storage import Storage
from tests.integration.database.roles import rows


def test_the_dashboard_makes_no_tables_and_waits_for_them(database: URL) -> None:
    url = database.render_as_string(hide_password=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = (sys.executable, "-m", "histsearch", "dashboard", "--port", port, "--storage", url)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as dashboard:
        try:
            assert dashboard.stdout is not None
            assert "no histsearch tables in database" in dashboard.stdout.readline()
            assert rows(database) == {}
            Storage(database)
            assert "optuna-dashboard on" in dashboard.stdout.readline()
        finally:
            dashboard.kill()
