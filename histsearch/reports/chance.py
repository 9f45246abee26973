"""How far a search is from being decided, in words."""

from histsearch.space.space import Decided
from histsearch.studies.standing import known_standing
from histsearch.studies.study import Study
from histsearch.wording import counted, value_text


def chance_sentence(study: Study) -> str | None:
    """How far the search is from being decided; None where that isn't asked, or not any more."""
    decided, chance = study.limits.decided, study.chance_of_better
    if chance is None or study.ended or (decided is None and study.may_start):
        return None
    rule = decided or Decided()
    rivals = "another configuration beats" if study.may_start else "a paused trial overtakes"
    return (
        f"{chance:.0%} chance that {rivals} the winner by more than "
        f"{counted(f'{rule.delta:g}', 'point')}; the "
        f"search ends below {100 * rule.epsilon:g}%{_unseen(study) if study.may_start else ''}"
    )


def _unseen(study: Study) -> str:
    """Which values must run before the search can be decided; empty if all have."""
    stored = known_standing(study)
    unseen = [
        f"{name} {_span(first, last)}"
        for name, spans in ({} if stored is None else stored.standing.unseen).items()
        for first, last in spans
    ]
    return f", once trials have run with {' and '.join(unseen)}" if unseen else ""


def _span(first: object, last: object) -> str:
    if first == last:
        return f"= {value_text(first)}"
    return f"from {value_text(first)} to {value_text(last)}"
