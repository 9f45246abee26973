"""Whether there are images enough to rank by a space's objective."""

from histsearch.data.census import Part
from histsearch.exceptions import DataError
from histsearch.retrieval.known_metrics import Metric
from histsearch.wording import counted


def check_objective(objective: Metric, judge: Part) -> None:
    """Refuse images by which every model scores alike, such as 30 of them by R@30.

    Args:
        objective: The metric that is maximised.
        judge: The images it is measured on.

    Raises:
        DataError: The objective asks for more images to rank.
    """
    if judge.ranked < objective.least_ranked:
        raise DataError(
            f"found the objective {objective.label} where a {judge.name} query ranks "
            f"{counted(judge.ranked, 'image')}, needed: {objective.least_ranked:,} or more, as "
            "every model scores alike with fewer; choose another objective, or add images"
        )
