import json

from optuna.trial import TrialState
from typer.testing import CliRunner

from histsearch.cli.main import app
from histsearch.database.storage import Storage
from histsearch.studies import trial_record
from histsearch.studies.catalog import create_search
from histsearch.studies.stopping import end_if_due
from histsearch.studies.study import ENDED
from tests.integration.claims import claimed
from tests.integration.studies.small_search import small_space


def invoke(storage: Storage, command: str, *arguments: str) -> str:
    url = storage.url.render_as_string(hide_password=False)
    done = CliRunner().invoke(app, ["study", command, "small", *arguments, "--storage", url])
    assert done.exit_code == 0, done.output
    return done.stdout


def shown(storage: Storage, *options: str) -> str:
    return invoke(storage, "show", *options)


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
    study.note_left("node7", "There is no folder /data.")
    assert "left by:   workers on node7: There is no folder /data.\n" in shown(storage)
    claim = claimed(study)
    claim.record({trial_record.BEST_EPOCH: 1}, {1: 0.5})
    claim.tell(TrialState.COMPLETE, 0.5)
    end_if_due(study)
    assert (
        "in doubt:  another is better than the winner by more than 1 points with a probability of "
        "100% (100% until three configurations and every value have run); the search ends below 5%"
    ) in shown(storage)
    assert json.loads(shown(storage, "--json"))["doubt"] == 1.0
    study.optuna_study.set_user_attr(ENDED, "for a reason")
    assert "in doubt" not in shown(storage)


def test_what_ends_a_search_is_set_and_shown(storage: Storage) -> None:
    create_search(storage, small_space(sampler="hist", search={"tau": [4, 8]}, enqueue=[]))
    limits = "trials = 9, gpu_hours = 1.5, decided = {delta = 0.25, epsilon = 0.05}"
    done = invoke(storage, "set", "trials=9", "gpu_hours=1.5", "decided={delta = 0.25}")
    assert done.startswith(f'"small" ends by: {limits}\n')
    assert f"ends by:   {limits}\n" in shown(storage)
    assert "gpu_hours = false, decided = false" in invoke(
        storage, "set", "gpu_hours=false", "decided=false"
    )
