"""What a worker counts and measures, for Prometheus."""

import os

from prometheus_client import Counter, Gauge, start_http_server

from histsearch.exceptions import HistsearchError

TRIALS = Counter(
    "histsearch_trials",
    "Attempts at trials that this worker ended.",
    ("study", "outcome"),
)
EPOCHS = Counter("histsearch_epochs", "Epochs that this worker trained.", ("study",))
EPOCH_SECONDS = Counter(
    "histsearch_epoch_seconds", "Time that they took, validation included.", ("study",)
)
IMAGES_PER_SECOND = Gauge("histsearch_images_per_second", "Training throughput of the last epoch.")
VALIDATION_SCORE = Gauge(
    "histsearch_validation_score",
    "The study's objective on the validation images after the last epoch, in [0, 1].",
    ("study", "objective"),
)
TAKEN_OVER = Counter("histsearch_claims_lost", "Trials that others took over from this worker.")
DATABASE_AWAY = Gauge("histsearch_database_away", "1 while the database doesn't answer.")
REPORTS_WAITING = Gauge("histsearch_reports_waiting", "Reports kept until the database takes them.")


def serve(address: str, port: int) -> None:
    """Serve the metrics over HTTP from a thread of its own.

    Raises:
        HistsearchError: The port can't be had.
    """
    try:
        server, _ = start_http_server(port, address)
    except OSError as error:
        raise HistsearchError(
            f"can't serve metrics on {address}:{port} ({error.strerror}); choose another "
            "--metrics-port"
        ) from error
    # Loader processes that outlive a killed worker would keep the port from its successor.
    os.register_at_fork(after_in_child=server.socket.close)
