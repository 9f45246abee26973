import json
from pathlib import Path
from typing import Any

import pytest

from histsearch.space.reading import builtin_spaces, load_space

DATASETS = ("cub200", "cars196", "sop")
BACKBONES = ("resnet50", "bn_inception")
SPACES_FOLDER = Path(__file__).resolve().parents[3] / "spaces"


@pytest.fixture(scope="module")
def paper(golden: Path) -> dict[str, Any]:
    tables: dict[str, Any] = json.loads((golden / "paper_tables.json").read_text())
    return tables


def test_spaces_of_the_paper_and_the_demo_are_built_in() -> None:
    papers = {f"{dataset}-{backbone}" for dataset in DATASETS for backbone in BACKBONES}
    others = {name for name in builtin_spaces() if "/" not in name}
    assert others == papers | {"demo", "omniglot-conv4", "caltech101-lite0"}


def test_spaces_of_proxy_anchor_begin_with_its_authors_settings() -> None:
    names = {name for name in builtin_spaces() if name.startswith("proxy-anchor/")}
    assert {load_space(name).dataset for name in names} == {
        *DATASETS,
        "glyphs",
        "folder:caltech101",
    }
    for name in names:
        space = load_space(name)
        begun = space.complete(space.enqueue[0])
        assert space.loss.name == "proxy-anchor"
        assert (begun.loss["alpha"], begun.loss["delta"]) == (32, 0.1)


@pytest.mark.parametrize("name", builtin_spaces())
def test_built_in_space_loads_by_its_own_name_and_by_path(name: str) -> None:
    by_name = load_space(name)
    assert by_name.name == name.replace("/", "-")
    assert load_space(str(SPACES_FOLDER / f"{name}.toml")) == by_name


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("dataset", DATASETS)
def test_space_of_the_paper_searches_its_grid_in_as_many_trials(
    paper: dict[str, Any], dataset: str, backbone: str
) -> None:
    space = load_space(f"{dataset}-{backbone}")
    grid = {name: list(parameter) for name, parameter in space.search.items()}
    assert (space.dataset, space.backbone) == (dataset, backbone)
    assert grid == paper["table5_6_spaces"][backbone][dataset]
    assert space.trials == paper["search_cost"]["runs_per_backbone"][dataset]


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("dataset", DATASETS)
def test_space_of_the_paper_starts_with_its_configuration_and_training_settings(
    paper: dict[str, Any], dataset: str, backbone: str
) -> None:
    space = load_space(f"{dataset}-{backbone}")
    training = paper["table8_9_training"][backbone]
    settings = training["shared"] | training[dataset]
    epochs = settings.pop("epochs")
    configuration = {name: settings.pop(name) for name in space.search}
    assert space.epochs == epochs
    assert space.enqueue[0] == configuration
    assert space.fixed == settings


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("dataset", DATASETS)
def test_space_of_the_paper_has_the_authors_configuration_as_a_baseline(
    paper: dict[str, Any], dataset: str, backbone: str
) -> None:
    space = load_space(f"{dataset}-{backbone}")
    table = paper["table2_parameters"][backbone][dataset]
    baselines = {one.name: (one.values, one.epochs) for one in space.baselines}
    assert baselines.pop("authors") == (table["paper"], None)
    # Where Table 2 differs from Table 8, which the search begins with, both are there.
    differs = table["searched"] != space.enqueue[0]
    assert differs == ((dataset, backbone) == ("cars196", "bn_inception"))
    assert baselines == ({"paper": (table["searched"], None)} if differs else {})


def test_demo_starts_with_the_usual_configuration_of_the_method() -> None:
    demo = load_space("demo")
    assert (demo.dataset, demo.backbone, demo.weights) == ("glyphs", "conv4", "none")
    assert demo.enqueue == ({"lambda_s": 1.0, "alpha": 0.9, "tau": 32, "batch_size": 32},)
