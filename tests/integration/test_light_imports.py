import json
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        (
            "import histsearch.cli.main",
            {"torch", "torchvision", "optuna", "sqlalchemy", "pydantic", "numpy"},
        ),
        (
            "import histsearch.studies.catalog, histsearch.reports.status, "
            "histsearch.reports.study_summary",
            {"torch", "scipy", "alembic", "boto3", "sklearn", "matplotlib"},
        ),
        (
            "import histsearch.studies.trial_embeddings",
            {"torch", "scipy", "alembic", "boto3", "sklearn", "matplotlib"},
        ),
        (
            "import histsearch.reports.document.contents, histsearch.reports.document.writing",
            {"torch", "torchvision", "alembic", "boto3"},
        ),
        ("import histsearch.data.known_datasets", {"torch", "scipy", "matplotlib"}),
        (
            "import histsearch.figures.searched_study, histsearch.figures.slices, "
            "histsearch.figures.pair_heat_maps, histsearch.figures.embedding_map, "
            "histsearch.figures.retrieval_examples, histsearch.figures.svg",
            {"torch", "matplotlib.pyplot"},
        ),
        ("import histsearch.models.known_backbones", {"torch"}),
        (
            "from histsearch.models.known_backbones import starts_pretrained; "
            "assert starts_pretrained('timm:no_such_model.of_1k')",
            {"torch", "timm"},
        ),
    ],
)
def test_commands_and_names_are_known_without_anything_heavy(
    statement: str, heavy: set[str]
) -> None:
    code = f"{statement}; import json, sys; print(json.dumps(list(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    assert heavy.isdisjoint(json.loads(ended.stdout))
