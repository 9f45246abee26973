"""HTML pages as tests read them."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

from typing_extensions import override

_VOID = {"meta", "img", "br", "link", "input", "hr"}


@dataclass
class Element:
    """An element of a page: its name, attributes, children and the text within."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list["Element"] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text within, its white space as a browser shows it."""
        return " ".join("".join(self.texts).split())

    def all(self, *names: str) -> list["Element"]:
        """All elements of these names within, in the order of the page."""
        found = []
        for child in self.children:
            found += [child] if child.name in names else []
            found += child.all(*names)
        return found


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("")
        self.open = [self.root]

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {key: value or "" for key, value in attrs})
        self.open[-1].children.append(element)
        if tag not in _VOID:
            self.open.append(element)

    @override
    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.open[-1].name == tag, f"</{tag}> ends <{self.open[-1].name}>"
            self.open.pop()

    @override
    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.texts.append(data)


def read_page(text: str) -> Element:
    """A page, each of whose elements has to end where it should."""
    parser = _Parser()
    parser.feed(text)
    parser.close()
    assert parser.open == [parser.root], [one.name for one in parser.open]
    return parser.root
