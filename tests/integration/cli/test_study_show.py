import json

from optuna.trial import TrialState
from typer.testing import CliRunner

from histsearch.cli.main import app
from histsearch.database.storage import Storage
from histsearch.studies import trial_record
from histsearch.studies.catalog import create_search
from histsearch.studies.stopping import end_if_due
from tests.integration.claims import claimed
from tests.integration.studies.small_search import small_space


def shown(storage: Storage, *options: str) -> str:
    url = storage.url.render_as_string(hide_password=False)
    done = CliRunner().invoke(app, ["study", "show", "small", *options, "--storage", url])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_search_tells_how_far_it_is_from_being_decided(storage: Storage) -> None:
    study = create_search(
        storage,
        small_space(
            sampler="hist",
            search={"tau": [4, 8]},
            enqueue=[{"tau": 4}],
            trials=9,
            decided={"delta": 1.0, "epsilon": 0.05},
        ),
    )
    assert "in doubt" not in shown(storage)
    claim = claimed(study)
    claim.record({trial_record.BEST_EPOCH: 1}, {1: 0.5})
    claim.tell(TrialState.COMPLETE, 0.5)
    end_if_due(study)
    assert (
        "in doubt:  another is better than the winner by more than 1 points with a probability of "
        "100% (100% until every value has run); the search ends below 5%"
    ) in shown(storage)
    assert json.loads(shown(storage, "--json"))["doubt"] == 1.0
