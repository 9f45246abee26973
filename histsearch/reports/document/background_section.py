"""What figures are over, what they were made with, and how to have them again."""

from collections.abc import Iterator, Mapping, Sequence

from histsearch.data.census import Census, Part
from histsearch.reports.document.names import file_name
from histsearch.reports.document.reported import Reported
from histsearch.reports.document.sections import (
    Bullets,
    Heading,
    Listing,
    Missing,
    Paragraph,
    Section,
    ShownTable,
)
from histsearch.reports.document.sections import Part as DocumentPart
from histsearch.reports.document.tables import (
    Cell,
    Table,
    number_cell,
    number_column,
    text_cell,
    text_column,
)
from histsearch.reports.report import Report
from histsearch.studies.trial_record import WEIGHTS

_TRAINING = "training"


def background_section(searches: Sequence[Reported]) -> Section:
    """The images behind the figures, provenance, models, and the commands that repeat it."""
    parts: list[DocumentPart] = []
    for one in searches:
        if len(searches) > 1:
            parts.append(Heading(one.name))
        parts += _images(one, searches)
        parts += _provenance(one.report)
        parts += _models(one.report)
        parts += [
            Listing(f"{one.name}.toml: the space of the search", one.report.space_toml),
            Listing("The commands that repeat it", "\n".join(one.report.commands)),
        ]
    return Section("background", "Images, provenance and repetition", parts)


def _images(one: Reported, searches: Sequence[Reported]) -> Iterator[DocumentPart]:
    report = one.report
    if report.images is None:
        yield Missing(
            f"The images of {one.name}", "not counted yet: its first worker does so on starting."
        )
    else:
        yield Paragraph(_rankings(report.images, report))
        yield ShownTable(_census(report.images, file_name("images", one, searches)))
    if report.warnings:
        yield Paragraph("What these figures can't tell:")
        yield Bullets(report.warnings)


def _rankings(images: Census, report: Report) -> str:
    """Why a figure of the search and one on the test classes can't be compared."""
    judge, test = images.judge, images.test
    text = (
        f"On the test classes each query is ranked against {test.ranked:,} images of "
        f"{test.classes:,} classes."
    )
    if images.validation is None:
        return f"{text} The search was judged by the same ones."
    return (
        f"Each validation query is ranked against {judge.ranked:,} images of {judge.classes:,} "
        f"classes. {text} The fewer images there are, the higher {report.objective} is, and the "
        "validation figure is the highest of all epochs of many trials: one above the figure on "
        "the test classes is by itself no sign of overfitting."
    )


def _census(images: Census, name: str) -> Table:
    return Table(
        name=name,
        caption="Images of each part, and what one of them is worth.",
        columns=[
            text_column("part"),
            *map(number_column, ("classes", "images", "ranked against", "without another")),
            *map(number_column, ("points an image", "highest score (%)")),
        ],
        rows=[_row(part, images.remark_on(part)) for part in images.parts],
    )


def _row(part: Part, remark: str) -> list[Cell]:
    judged = part.name != _TRAINING
    return [
        text_cell(f"{part.name}{remark}"),
        *map(number_cell, (part.classes, part.images)),
        number_cell(part.ranked if judged else None),
        number_cell(part.lone),
        number_cell(part.image_points if judged else None, 3),
        number_cell(100 * part.highest_score if judged else None, 2),
    ]


def _provenance(report: Report) -> Iterator[DocumentPart]:
    yield Paragraph("Made with:")
    yield Bullets(provenance_lines(report.weights, report.provenance))


def provenance_lines(weights: str, provenance: Mapping[str, Sequence[object]]) -> list[str]:
    """What trials were made with, a line for each kind of answer.

    Args:
        weights: What the space says that training starts from.
        provenance: What finished trials say of weights, devices and software, each distinct
            answer once.
    """
    lines = [f"initial weights: {weights}"]
    for name, answers in provenance.items():
        if name == WEIGHTS and list(answers) == [weights]:
            continue
        known = [_answer_text(answer) for answer in answers]
        lines.append(f"{name}: {'; '.join(known) or 'no trial has ended yet'}")
    return lines


def _answer_text(answer: object) -> str:
    if isinstance(answer, Mapping):
        return ", ".join(f"{name} {version}" for name, version in answer.items())
    return "not recorded" if answer is None else str(answer)


def _models(report: Report) -> Iterator[DocumentPart]:
    if not report.models:
        yield Missing(f"Models of {report.study}", "no run of a retraining is complete.")
        return
    yield Paragraph(
        "The model of each run, for histsearch evaluate --checkpoint STUDY/NUMBER and histsearch "
        "export STUDY/NUMBER:"
    )
    yield Bullets([str(model) for model in report.models])
