import warnings
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
from PIL import Image

from histsearch.figures.confused_classes import Confusion, confused_classes
from histsearch.figures.retrieval_examples import retrieval_examples
from histsearch.figures.search_history import search_history
from histsearch.figures.slices import slices
from histsearch.figures.svg import svg
from tests.unit.figures.made_up import HOSTILE, drawn, embeddings, search, trial

SVG = "{http://www.w3.org/2000/svg}"


def document(name: str) -> str:
    return svg(drawn(confused_classes([Confusion(name, "b", 2, 3)])))


def test_it_is_one_well_formed_document_with_title_and_description() -> None:
    root = ElementTree.fromstring(document(HOSTILE).encode())  # noqa: S314 - our own
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    assert (root.findtext(f"{SVG}title") or "").startswith("Test classes taken for others")
    assert "</svg><script>" in (root.findtext(f"{SVG}desc") or "")
    assert root.find(f".//{SVG}script") is None
    texts = ["".join(one.itertext()) for one in root.iter(f"{SVG}text")]
    assert "$\\alpha$ </svg><script>\\n\\x1b… → b" in texts


def test_the_same_figure_gives_the_same_document() -> None:
    assert document("a") == document("a")


def test_it_asks_nothing_of_the_network() -> None:
    root = ElementTree.fromstring(document("a").encode())  # noqa: S314 - our own
    for element in root.iter():
        for name, value in element.attrib.items():
            if name.endswith("href"):
                assert value.startswith(("#", "data:"))
    assert root.find(f".//{SVG}metadata") is None


def test_a_glyph_that_is_missing_here_is_the_readers() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "鸟类" in document("鸟类")


def test_settings_of_whoever_draws_do_not_count() -> None:
    found = search(
        *(trial(number, [0.5], {"p": "$x$"}) for number in range(2)), parameters={"p": ("$x$", "b")}
    )
    usual = svg(drawn(slices(found)))
    with mpl.rc_context({"font.size": 30.0, "svg.fonttype": "path", "axes.grid": True}):
        assert svg(drawn(slices(found))) == usual


def test_photographs_are_small_and_marks_keep_their_transparency() -> None:
    rng = np.random.default_rng(0)
    photograph = Image.fromarray(rng.integers(0, 255, (96, 96, 3), dtype=np.uint8))
    found = embeddings([0, 0, 1, 1], ["a", "b"], [[1, 2, 3, -1, -1]] * 4)
    pictures = svg(drawn(retrieval_examples(found, lambda *_: photograph)))
    assert "data:image/jpeg;base64," in pictures
    assert "image/png" not in pictures
    assert "pixelated" not in pictures
    trials = (trial(number, [number / 1000]) for number in range(1000))
    marks = svg(drawn(search_history(search(*trials))))
    assert "data:image/png;base64," in marks
    assert "image/jpeg" not in marks
