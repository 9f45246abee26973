from dataclasses import replace

from histsearch.data.census import Census, Part
from histsearch.reports.comparisons import Pair, Side, compare
from histsearch.reports.cost import Cost
from histsearch.reports.markdown import percent, render
from histsearch.reports.report import Report, Retrained, WinningTrial
from histsearch.reports.statistics import Estimate, fraction_estimate

SEARCH_ONLY = Report(
    study="birds",
    space="cub200-resnet50",
    dataset="cub200",
    loss="hist",
    objective="R@1",
    backbone="resnet50",
    selection="classes held out of the training half",
    on_test_classes=False,
    trials={"COMPLETE": 9, "PRUNED": 3},
    best=WinningTrial(
        number=7,
        parameters={"tau": 24, "alpha": 1.15},
        objective="R@1",
        score=0.7234,
        epoch=18,
        trials=1,
        mean_score=0.7234,
    ),
    retrained=[],
    comparisons=[],
    winner_is_baseline=None,
    published={},
    published_source="A paper, Table 3",
    search_cost=Cost(hours_spent=12.345, hours_saved=4.0, accelerated=True),
    retraining_cost=None,
    half_created_retrainings=[],
    failed_runs=[],
    unfinished_retrainings=[],
    retraining_warnings=[],
    provenance={"device": ["NVIDIA H200", "NVIDIA A100"], "commit": ["abc123"]},
    models=[],
)


def retrained(role: str, *, trial: int, tau: int, mean: float) -> Retrained:
    return Retrained(
        study="birds-retrain",
        label=f"{role} #{trial}",
        role=role,
        source_trial=trial,
        baselines=(),
        parameters={"tau": tau},
        epochs=18,
        objective="R@1",
        score=Estimate(mean, 0.008, 3),
        scores=[mean - 0.01, mean, mean + 0.01],
        seeds=[5, 6, 7],
        recall={1: Estimate(mean, 0.008, 3), 2: Estimate(mean + 0.1, 0.01, 3)},
    )


RETRAINED = replace(
    SEARCH_ONLY,
    retrained=[
        retrained("tuned", trial=7, tau=24, mean=0.631),
        retrained("baseline", trial=0, tau=32, mean=0.611),
    ],
    comparisons=compare(
        [
            Pair(
                Side("tuned #7", "birds-retrain", {5: 0.621, 6: 0.631, 7: 0.641}),
                Side("baseline #0", "birds-retrain", {5: 0.601, 6: 0.611, 7: 0.621}),
                "R@1",
                delta=0.005,
            )
        ]
    ),
    retraining_cost=Cost(hours_spent=2.5, hours_saved=0.0, accelerated=True),
)


def test_report_names_study_space_trials_and_selection() -> None:
    assert render(SEARCH_ONLY).startswith(
        "# birds\n\nSpace `cub200-resnet50`: cub200 on resnet50, loss hist. "
        "Trials: 9 complete, 3 pruned. Objective: R@1. Selection on: classes held out of the "
        "training half.\n"
    )


def test_selection_on_the_test_classes_is_warned_of() -> None:
    warned = render(replace(SEARCH_ONLY, on_test_classes=True))
    assert "\n\n> **Selected on the test classes.** " in warned
    assert "not a fair estimate" in warned


def test_selection_on_held_out_classes_is_not_warned_of() -> None:
    assert ">" not in render(SEARCH_ONLY)


def test_best_trial_shows_its_configuration_recall_and_epoch() -> None:
    assert "\n\nTrial 7: tau = 24, alpha = 1.15. R@1 72.3% at epoch 18, " in render(SEARCH_ONLY)


def test_a_configuration_has_few_digits() -> None:
    parameters = {"lr": 0.00046066102129245354, "alpha": 1.1500000000000001}
    text = render(replace(SEARCH_ONLY, best=replace(SEARCH_ONLY.best, parameters=parameters)))
    assert "\n\nTrial 7: lr = 0.0004607, alpha = 1.15. R@1" in text


def test_search_without_retraining_says_what_to_run() -> None:
    text = render(SEARCH_ONLY)
    assert "Not retrained yet: `histsearch retrain birds`, then workers." in text
    assert "Retraining:" not in text


def test_each_retrained_configuration_has_a_row() -> None:
    text = render(RETRAINED)
    assert (
        "| configuration | epochs | seeds | R@1 | R@2 |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| tuned #7 | 18 | 3 | 63.1 ± 0.8 | 73.1 ± 1.0 |\n"
        "| baseline #0 | 18 | 3 | 61.1 ± 0.8 | 71.1 ± 1.0 |\n"
    ) in text
    assert "- tuned #7: tau = 24\n- baseline #0: tau = 32\n" in text
    assert "Not retrained yet" not in text


def test_comparisons_stand_below_the_figures() -> None:
    text = render(RETRAINED)
    assert "\n\ntuned #7 minus baseline #0: +2.0 points of R@1, " in text
    assert "a verdict needs 5: histsearch retrain birds-retrain --add-seeds 2." in text
    assert "points of R@1" not in render(replace(RETRAINED, comparisons=[]))


def test_a_winner_that_is_a_baseline_is_said_to_be_one() -> None:
    found = render(replace(SEARCH_ONLY, winner_is_baseline="authors"))
    assert "\n\nTrial 7: tau = 24, alpha = 1.15. R@1 72.3% at epoch 18, " in found
    assert 'on the classes it was selected on. The winner is the baseline "authors".\n\n' in found
    assert "The winner is" not in render(SEARCH_ONLY)


def test_unfinished_retrainings_are_named() -> None:
    running = replace(RETRAINED, unfinished_retrainings=["birds-retrain", "birds-again"])
    assert "\n\nStill running: birds-retrain, birds-again.\n" in render(running)
    assert "Still running" not in render(RETRAINED)


def test_doubtful_lengths_are_warned_of() -> None:
    warning = "tuned #7 of birds-retrain is trained for 1 epoch of 20"
    for report in (SEARCH_ONLY, RETRAINED):
        assert f"\n\n> **Warning.** {warning}.\n\n" in render(
            replace(report, retraining_warnings=[warning])
        )
    assert "> **Warning.**" not in render(RETRAINED)


def test_published_rows_stand_under_their_source() -> None:
    rows = {"reproduced": {"R@1": 70.1, "NMI": 72.9}, "tuned": {"R@1": 72.0, "NMI": 75.6}}
    assert (
        "## Published results of HIST\n\nA paper, Table 3, in percent.\n\n"
        "| row | R@1 | NMI |\n"
        "| --- | --- | --- |\n"
        "| reproduced | 70.1 | 72.9 |\n"
        "| tuned | 72.0 | 75.6 |\n"
    ) in render(replace(SEARCH_ONLY, published=rows))


def test_nothing_published_leaves_the_section_out() -> None:
    text = render(SEARCH_ONLY)
    assert "Published" not in text
    assert "A paper" not in text


def test_cost_says_that_trials_shared_a_device() -> None:
    assert "slots" not in render(SEARCH_ONLY)
    assert (
        "4 saved by pruning. Trials ran on up to 3 slots of a device, where a second on one of N "
        "counts 1/N.\n"
    ) in render(replace(SEARCH_ONLY, slots=3))


def test_cost_says_what_was_spent_and_saved_in_its_unit() -> None:
    assert "## Cost\n\nSearch: 12.3 GPU-hours spent, 4 saved by pruning.\n" in render(SEARCH_ONLY)
    one = replace(SEARCH_ONLY, search_cost=Cost(1.001, 1.0, accelerated=True))
    assert "Search: 1 GPU-hour spent, 1 saved by pruning.\n" in render(one)
    on_cpu = replace(SEARCH_ONLY, search_cost=Cost(0.5, 0.0, accelerated=False))
    assert "Search: 0.5 CPU worker hours spent, 0 saved by pruning.\n" in render(on_cpu)


def test_cost_of_retraining_follows_that_of_the_search() -> None:
    assert " saved by pruning. Retraining: 2.5 GPU-hours.\n" in render(RETRAINED)


def test_report_ends_with_what_it_was_made_with() -> None:
    assert render(SEARCH_ONLY).endswith(
        "\n\n## Made with\n\n- device: NVIDIA H200; NVIDIA A100\n- commit: abc123\n"
    )


def test_foreign_text_is_no_markup() -> None:
    hostile = "a|b`c` <img src=x> [l](u) *e* _f_ &lt;\n# forged \x1b[2J"
    shown = r"a\|b\`c\` \<img src=x\> \[l\](u) \*e\* \_f\_ \&lt;\\n# forged \\x1b\[2J"
    one = replace(RETRAINED.retrained[0], label=hostile, parameters={"lambda_s": hostile})
    text = render(
        replace(
            RETRAINED,
            dataset=f"folder:{hostile}",
            best=replace(RETRAINED.best, parameters={"lambda_s": hostile}),
            retrained=[one],
            failed_runs=[f"birds-retrain #0: {hostile}"],
            provenance={"device": [hostile], "versions": [{"torch": hostile}]},
        )
    )
    assert f"Space `cub200-resnet50`: folder:{shown} on resnet50, loss hist." in text
    assert f"Trial 7: lambda_s = {shown}. R@1" in text
    assert f"- {shown}: lambda_s = {shown}\n" in text
    assert f"\n| {shown} | 18 | 3 | 63.1 ± 0.8 | 73.1 ± 1.0 |\n" in text
    assert f"\n- birds-retrain #0: {shown}\n" in text
    assert f"- device: {shown}\n- versions: torch {shown}\n" in text
    for character in ("\x1b", "<img", "\n# forged"):
        assert character not in text.replace(r"\<img", "")


def test_percent_of_a_single_seed_has_no_interval() -> None:
    assert percent(Estimate(0.6314, None, 1)) == "63.1"
    assert percent(Estimate(0.6314, 0.0083, 3)) == "63.1 ± 0.8"


def test_percent_stays_between_0_and_100() -> None:
    assert percent(fraction_estimate([0.97, 0.98, 0.99])) == "98.0 (95.5 to 100.0)"
    assert percent(fraction_estimate([1.0, 1.0, 1.0])) == "100.0 ± 0.0"


def test_images_and_what_they_can_not_tell_have_a_section() -> None:
    images = Census(
        Part("training", classes=90, images=2_700, lone=0),
        Part("validation", classes=30, images=900, lone=9),
        Part("test", classes=120, images=3_600, lone=0, gallery=2_400),
    )
    told = render(replace(SEARCH_ONLY, images=images, warnings=["too few", "too fine"]))
    assert (
        "\n\n## Images\n\n"
        "| part | classes | images | points that one is worth | highest score |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| training | 90 | 2,700 |  |  |\n"
        "| validation | 30 | 900 | 0.111 | 99% |\n"
        "| test | 120 | 3,600 queries, 2,400 in the gallery | 0.0278 | 100% |\n\n"
        "What these figures can't tell:\n\n- too few\n- too fine\n\n## On the test classes"
    ) in told
    assert "## Images" not in render(SEARCH_ONLY)
