"""The parts of a report's document, in the order in which they are read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from histsearch.reports.document.tables import Table


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    kind: ClassVar[str] = "heading"
    text: str


@dataclass(frozen=True)
class Paragraph:
    """Some sentences.

    Attributes:
        text: They.
        is_warning: Whether they speak against the figures.
    """

    kind: ClassVar[str] = "paragraph"
    text: str
    is_warning: bool = False


@dataclass(frozen=True)
class Bullets:
    """Lines that stand beside one another."""

    kind: ClassVar[str] = "bullets"
    lines: Sequence[str]


@dataclass(frozen=True)
class Listing:
    """Text to copy: commands, or a file.

    Attributes:
        title: What it is.
        text: It.
    """

    kind: ClassVar[str] = "listing"
    title: str
    text: str


@dataclass(frozen=True)
class Missing:
    """What a report would show, had the study it.

    Attributes:
        what: What is missing.
        why: The reason, and what to do about it.
    """

    kind: ClassVar[str] = "missing"
    what: str
    why: str


@dataclass(frozen=True)
class ShownTable:
    """A table in its place."""

    kind: ClassVar[str] = "table"
    table: Table


@dataclass(frozen=True)
class Image:
    """A figure in its place.

    Attributes:
        name: Of its file.
        caption: What it shows.
        alt: The same for who can't see it.
        svg: It, as an SVG file.
        embedded: What the page holds of it: the same, or pixels where that is smaller.
        media_type: Of `embedded`.
    """

    kind: ClassVar[str] = "image"
    name: str
    caption: str
    alt: str
    svg: bytes
    embedded: bytes
    media_type: str


Part = Heading | Paragraph | Bullets | Listing | Missing | ShownTable | Image


@dataclass(frozen=True)
class Section:
    """A section of a report.

    Attributes:
        key: Its anchor.
        title: Its heading.
        parts: What it holds.
    """

    key: str
    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Document:
    """A report as it is read.

    Attributes:
        title: What it is of.
        sections: Its sections.
    """

    title: str
    sections: Sequence[Section]

    @property
    def tables(self) -> Iterator[Table]:
        """Its tables."""
        return (part.table for part in self._parts if isinstance(part, ShownTable))

    @property
    def images(self) -> Iterator[Image]:
        """Its figures."""
        return (part for part in self._parts if isinstance(part, Image))

    @property
    def _parts(self) -> Iterator[Part]:
        return (part for section in self.sections for part in section.parts)
