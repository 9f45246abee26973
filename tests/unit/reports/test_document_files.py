"""A report's tables as CSV and LaTeX, its page, and how they replace an earlier report."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from histsearch.reports.document.csv_text import csv_text
from histsearch.reports.document.latex_text import latex_text
from histsearch.reports.document.page import render_page
from histsearch.reports.document.sections import (
    Bullets,
    Document,
    Heading,
    Image,
    Listing,
    Missing,
    Paragraph,
    Part,
    Section,
    ShownTable,
)
from histsearch.reports.document.tables import (
    Cell,
    Table,
    estimate_column,
    hours_cell,
    number_cell,
    number_column,
    percent_cell,
    published_cell,
    text_cell,
    text_column,
)
from histsearch.reports.document.writing import write_document
from histsearch.reports.statistics import Estimate
from tests.pages import read_page

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>'

TABLE = Table(
    name="results",
    caption="Figures, in percent.",
    columns=[text_column("row"), number_column("seeds"), estimate_column("R@1")],
    rows=[
        [text_cell("published"), number_cell(None), published_cell(70.1)],
        [
            text_cell("ours", "†"),
            number_cell(1234),
            percent_cell(Estimate(0.6314159265358979, 0.008, 5)),
        ],
    ],
    notes=["† Selected on the test classes."],
    has_latex=True,
)
IMAGE = Image("history", "A history", "Scores rise.", b"<svg/>", b"<svg/>", "image/svg+xml")
DOCUMENT = Document(
    "birds",
    [
        Section("verdict", "Verdict", [Paragraph("It is better.")]),
        Section(
            "results",
            "Results",
            [
                Heading("Of birds"),
                ShownTable(TABLE),
                IMAGE,
                Missing("Embeddings", "not kept."),
                Bullets(["one", "two"]),
                Listing("commands", "histsearch worker\nhistsearch report"),
            ],
        ),
    ],
)


def with_text(text: str) -> Document:
    """A document that holds a text wherever one can come from outside."""
    table = replace(TABLE, caption=text, rows=[[text_cell(text), *TABLE.rows[0][1:]]], notes=[text])
    image = replace(IMAGE, caption=text, alt=text)
    parts: list[Part] = [
        *(Heading(text), Paragraph(text), Bullets([text]), Listing(text, text)),
        *(Missing(text, text), ShownTable(table), image),
    ]
    return Document(text, [Section("results", text, parts)])


def test_csv_has_all_digits_of_what_is_shown() -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(TABLE))))
    assert list(rows[0]) == ["row", "seeds", "R@1 mean", "R@1 low", "R@1 high", "R@1 n"]
    assert rows[0] == {
        "row": "published",
        "seeds": "",
        "R@1 mean": "70.1",
        "R@1 low": "",
        "R@1 high": "",
        "R@1 n": "",
    }
    ours = rows[1]
    assert (ours["row"], ours["seeds"], ours["R@1 n"]) == ("ours", "1234", "5")
    assert float(ours["R@1 mean"]) == 100 * 0.6314159265358979
    assert float(ours["R@1 high"]) == 100 * (0.6314159265358979 + 0.008)
    assert TABLE.rows[1][2].text == "63.1\u00a0±\u00a00.8"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1"])
def test_no_text_is_a_formula_of_a_spreadsheet(text: str) -> None:
    table = replace(TABLE, rows=[[text_cell(text), *TABLE.rows[0][1:]]])
    cell = list(csv.reader(io.StringIO(csv_text(table))))[1][0]
    assert not cell.lstrip().startswith(("=", "+", "-", "@"))
    assert cell.replace("\\t", "\t").endswith(text)


def test_negative_numbers_stay_numbers_in_csv() -> None:
    table = replace(TABLE, rows=[[text_cell("x"), number_cell(-1.5, 1), *TABLE.rows[0][2:]]])
    assert csv_text(table).splitlines()[1].startswith("x,-1.5,")


def test_a_cell_has_a_value_for_each_name_of_its_column() -> None:
    with pytest.raises(ValueError, match='2 exact values in the column "row" of "results"'):
        replace(TABLE, rows=[[Cell("x", (1, 2)), *TABLE.rows[0][1:]]])


def test_latex_is_a_table_of_booktabs() -> None:
    assert latex_text(TABLE).splitlines() == [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        r"\caption{Figures, in percent.}",
        r"\label{tab:results}",
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"row & seeds & R@1 \\",
        r"\midrule",
        r"published & -- & 70.1 \\",
        r"ours\textsuperscript{\dag} & 1,234 & 63.1~$\pm$~0.8 \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\par\smallskip\footnotesize \textsuperscript{\dag} Selected on the test classes.",
        r"\par\smallskip\footnotesize -- There is no such value, or it isn't known.",
        r"\end{table}",
    ]


def test_latex_fits_a_table_of_many_columns_into_the_text() -> None:
    columns = [text_column("row"), *(number_column(f"R@{k}") for k in range(1, 13))]
    row = [text_cell("ours"), *(number_cell(k) for k in range(1, 13))]
    text = latex_text(Table("results", "Figures.", columns, [row], has_latex=True))
    before, _, rest = text.partition(r"\begin{tabular}")
    assert before.startswith(r"% \usepackage{booktabs,graphicx}")
    assert before.endswith("\\setlength{\\tabcolsep}{3pt}\n\\resizebox{\\textwidth}{!}{%\n")
    assert "\\end{tabular}}\n" in rest
    assert text.count("{") == text.count("}")


def test_latex_fits_a_table_of_long_texts_into_the_text() -> None:
    def is_fitted(name: str) -> bool:
        columns = [text_column("search"), number_column("hours")]
        table = Table("hours", "Hours.", columns, [[text_cell(name), number_cell(1)]])
        return r"\resizebox" in latex_text(table)

    assert is_fitted("a" * 64)
    assert not is_fitted("a" * 60)


def test_latex_shows_what_it_would_obey() -> None:
    text = '\\input{/etc/passwd} $x_1^2$ 50% & #1 ~ {a} <b> |c| "d"\n\\\\[3pt]'
    table = replace(
        TABLE,
        rows=[[text_cell(text), *TABLE.rows[0][1:]], [text_cell("[2cm]"), *TABLE.rows[0][1:]]],
    )
    lines = latex_text(table).splitlines()
    row, second = lines[lines.index(r"\midrule") + 1 :][:2]
    assert row.startswith(
        r"\textbackslash{}input\{/etc/passwd\} \$x\_1\textasciicircum{}2\$ 50\% \& \#1 "
        r"\textasciitilde{} \{a\} \textless{}b\textgreater{} \textbar{}c\textbar{} "
        r"\textquotedbl{}d\textquotedbl{}\textbackslash{}n"
    )
    assert second.startswith("{}[2cm] &"), "a bracket after a row's end would be its height"


def test_the_page_shows_every_part() -> None:
    page = read_page(render_page(DOCUMENT))
    assert [one.text for one in page.all("title", "h1", "h2", "h3")] == [
        *("birds", "birds", "Verdict", "Results", "Of birds"),
    ]
    (table,) = page.all("table")
    assert [one.text for one in table.all("th", "td")] == [
        *("row", "seeds", "R@1", "published", "–", "70.1", "ours†", "1,234", "63.1 ± 0.8"),
    ]
    assert "Embeddings: not kept." in page.text
    assert "† Selected on the test classes." in page.text
    (listing,) = page.all("pre")
    assert "".join(listing.texts) == "histsearch worker\nhistsearch report\n"


def test_a_cell_without_a_value_is_explained() -> None:
    note = "– There is no such value, or it isn't known."
    whole = replace(TABLE, rows=TABLE.rows[1:])
    for table, shown in ((TABLE, True), (whole, False)):
        page = read_page(render_page(Document("x", [Section("s", "S", [ShownTable(table)])])))
        assert (note in page.text) is shown


def test_no_line_breaks_between_a_mean_and_its_interval() -> None:
    text = render_page(with_text("It reaches 43.4 ± 4.5 on the test classes."))
    assert "43.4\u00a0±\u00a04.5" in text
    assert "43.4 ±" not in text


@pytest.mark.parametrize(
    ("hours", "shown"),
    [(0.0, "0"), (0.0003511, "0.000351"), (0.25, "0.250"), (7.126, "7.13"), (1234.5, "1,234")],
)
def test_hours_have_three_digits(hours: float, shown: str) -> None:
    assert hours_cell(hours) == Cell(shown, (hours,))


def test_the_page_asks_nothing_of_anywhere_and_runs_nothing() -> None:
    text = render_page(DOCUMENT)
    page = read_page(text)
    addresses = [
        one.attributes[name]
        for one in page.all("a", "img", "link", "script", "iframe", "object", "source", "use")
        for name in ("href", "src", "srcset", "data")
        if name in one.attributes
    ]
    assert len(addresses) >= 4
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert not page.all("script", "link", "iframe", "object", "form")
    (style,) = page.all("style")
    assert "url(" not in style.text
    assert "@import" not in style.text
    (policy,) = [one for one in page.all("meta") if "http-equiv" in one.attributes]
    assert policy.attributes["content"].startswith("default-src 'none'; ")


def test_the_page_is_read_by_keyboard_and_by_screen_readers() -> None:
    page = read_page(render_page(DOCUMENT))
    (html,) = page.all("html")
    assert html.attributes["lang"] == "en"
    first = page.all("a")[0]
    ids = [one.attributes["id"] for one in page.all("main", "h2", "caption")]
    assert first.attributes["href"] == "#main"
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        assert link.attributes["href"].removeprefix("#") in ids
    wide = [one for one in page.all("div") if one.attributes.get("class") == "table"]
    assert all(one.attributes["tabindex"] == "0" for one in (*wide, *page.all("pre")))
    assert all(one.attributes["aria-labelledby"] in ids for one in wide)
    assert all(one.attributes["alt"] for one in page.all("img"))
    assert {one.attributes["scope"] for one in page.all("th")} == {"row", "col"}


def test_foreign_text_is_no_markup() -> None:
    page, plain = (read_page(render_page(with_text(text))) for text in (HOSTILE, "plain"))
    assert [one.name for one in page.all("script", "img")] == ["img"]
    assert page.text.count(HOSTILE) == plain.text.count("plain")
    (image,) = page.all("img")
    assert image.attributes.keys() == {"src", "alt"}
    assert image.attributes["alt"] == HOSTILE


def test_foreign_text_turns_no_reading_direction_around() -> None:
    text = render_page(with_text("a\u202eb\x1b[2J"))
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert r"a\u202eb\x1b[2J" in text


def test_a_page_of_many_rows_shows_the_first_and_says_so() -> None:
    table = replace(TABLE, rows=[TABLE.rows[0]] * 5, most_rows=2)
    page = read_page(render_page(Document("x", [Section("s", "S", [ShownTable(table)])])))
    (body,) = page.all("tbody")
    assert len(body.all("tr")) == 2
    assert "The first 2 of 5 rows; the file holds all." in page.text
    assert len(csv_text(table).splitlines()) == 6


def test_a_report_replaces_an_earlier_one_and_leaves_other_files_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "report"
    page, data = write_document(DOCUMENT, {"studies": []}, folder)
    assert json.loads(data.read_text()) == {
        "studies": [],
        "files": ["figures/history.svg", "tables/results.csv", "tables/results.tex"],
    }
    assert (folder / "figures" / "history.svg").read_bytes() == b"<svg/>"
    assert (folder / "tables" / "results.tex").read_text() == latex_text(TABLE)
    mine = folder / "tables" / "mine.csv"
    mine.write_text("a,b\n")
    smaller = Document("birds", DOCUMENT.sections[:1])
    write_document(smaller, {"studies": []}, folder)
    assert {path.name for path in folder.rglob("*") if path.is_file()} == {
        *("report.html", "report.json", "mine.csv"),
    }
    assert "Results" not in page.read_text()


@pytest.mark.parametrize(
    "content",
    [
        "no JSON",
        "[]",
        '{"files": "tables/results.csv"}',
        '{"files": [7, "../mine.csv", "mine.csv", "tables/../../mine.csv", "tables/x.py"]}',
    ],
)
def test_a_changed_report_makes_nothing_else_disappear(tmp_path: Path, content: str) -> None:
    folder = tmp_path / "report"
    (folder / "tables").mkdir(parents=True)
    kept = [tmp_path / "mine.csv", folder / "mine.csv", folder / "tables" / "x.py"]
    for path in kept:
        path.write_text("mine")
    (folder / "report.json").write_text(content)
    write_document(DOCUMENT, {}, folder)
    assert all(path.read_text() == "mine" for path in kept)


def test_the_same_document_is_the_same_files(tmp_path: Path) -> None:
    first, second = (
        {path.name: path.read_bytes() for path in write_document(DOCUMENT, {}, tmp_path / name)}
        for name in ("a", "b")
    )
    assert first == second
