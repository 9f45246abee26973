import pytest

from histsearch.dashboard.hosts import checked
from histsearch.exceptions import HistsearchError


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("gpu01.example.org", "gpu01.example.org"),
        ("GPU_01.", "gpu_01"),
        ("192.0.2.7", "192.0.2.7"),
        ("[2001:DB8:0::7]", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
    ],
)
def test_a_host_is_allowed_by_name_or_address(name: str, host: str) -> None:
    assert checked(name) == host


@pytest.mark.parametrize("name", ["", "*", "http://gpu01", "gpu01:8080", "gpu01/", "gpu 01"])
def test_what_is_no_host_is_refused(name: str) -> None:
    with pytest.raises(HistsearchError, match="without http:// and without a port"):
        checked(name)
