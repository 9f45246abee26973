import pytest

from histsearch.reports.epochs_done import EpochsDone


@pytest.mark.parametrize(
    ("done", "text"),
    [
        (EpochsDone(0, 0, 0), "0 trained"),
        (EpochsDone(1200, 1200, 1200), "1,200 trained"),
        (EpochsDone(12, 40, 40), "12 of 40 expected"),
        (EpochsDone(0, 1, 1), "0 of 1 expected"),
        (EpochsDone(12, 1000, 2400), "12 of 1,000 expected, 2,400 at most"),
    ],
)
def test_epochs_in_words(done: EpochsDone, text: str) -> None:
    assert str(done) == text
