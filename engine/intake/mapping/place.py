"""A place in a mapping's file: its value, read strictly, and refusals that name the line.

The YAML is plain: no anchors, aliases, tags or merges, few levels, a limited size. What is left cannot refer to
itself or grow while it is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent, MappingEndEvent, MappingStartEvent, SequenceEndEvent, SequenceStartEvent

from engine.catalog_file.reader import Reader
from engine.refusals import CatalogRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BYTES_MAX = 1_000_000
LEVELS_MAX = 12
_BREAKDOWNS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What the library that reads YAML may raise of a text that is none, as of a list where a name belongs."""
_PLAIN = "plain YAML: names, texts, numbers and lists, each written out"


@dataclass(frozen=True, slots=True)
class Place:
    """One place in a file.

    Attributes:
        reader: the file.
        path: the keys and positions that lead here.
        value: what stands here, as YAML read it.
    """

    reader: Reader
    path: tuple[str | int, ...]
    value: Any

    def refusal(self, message: str, accepted: str) -> CatalogRefused:
        """A refusal that names this place and its line."""
        return self.reader.refusal(self.path, message, accepted)

    def at(self, part: str | int) -> Place:
        """The place below this one that is called `part`, whether or not anything stands there."""
        value = self.value
        if isinstance(value, list) and isinstance(part, int):
            found = value[part]
        else:
            found = value.get(part) if isinstance(value, dict) else None
        return Place(self.reader, (*self.path, part), found)

    def names(self) -> Iterator[tuple[str, Place]]:
        """Each name that stands here, with the place it leads to.

        Raises:
            CatalogRefused: this is no list of names, or one of them is no text.
        """
        if not isinstance(self.value, dict):
            raise self.refusal("this is no list of names, each with its settings.", "name: and what it is")
        for name in self.value:
            if not isinstance(name, str):
                raise self.at(name).refusal("a name here must be text.", f'"{name}" in quotes')
            yield str(name), self.at(name)

    def settings(self, accepted: Sequence[str], needed: Sequence[str] = ()) -> dict[str, Place]:
        """The settings that stand here, by name.

        Raises:
            CatalogRefused: one is unknown, or a needed one is missing.
        """
        found = dict(self.names())
        for name in found:
            if name not in accepted:
                raise self.at(name).refusal("this is not a setting.", f"one of {', '.join(accepted)}")
        for name in needed:
            if name not in found:
                raise self.refusal(f"{name} is missing.", f"{name}: and its value")
        return found

    def text(self, *, blank: bool = False) -> str:
        """The text that stands here.

        Raises:
            CatalogRefused: it is none, or is blank where it may not be.
        """
        if not isinstance(self.value, str) or not (blank or self.value.strip()):
            shown = "" if isinstance(self.value, dict | list) or self.value is None else f': "{self.value}" in quotes'
            raise self.refusal("this must be text.", f"a text{shown}")
        return str(self.value)

    def texts(self, *, blank: bool = False) -> tuple[str, ...]:
        """The text, or list of texts, that stands here, each one once."""
        if not isinstance(self.value, list):
            return (self.text(blank=blank),)
        found = tuple(self.at(position).text(blank=blank) for position in range(len(self.value)))
        if not found or len(set(found)) < len(found):
            raise self.refusal("this list is empty, or has a text twice.", "a list of texts: [one, another]")
        return found

    def word(self, accepted: Sequence[str]) -> str:
        """One of some words."""
        if self.value not in accepted:
            raise self.refusal("this is not one of the words accepted here.", ", ".join(accepted))
        return str(self.value)


def opened(file: str, text: str) -> Place:
    """The first place of a mapping's text.

    Raises:
        CatalogRefused: it is not plain YAML; with the line.
    """
    if len(text.encode("utf-8", "surrogatepass")) > BYTES_MAX:
        raise _refused(file, None, "The file is too large for a mapping.", f"at most {BYTES_MAX:,} bytes")
    if "\0" not in text:
        _hold_plain(file, text)
    try:
        reader = Reader.of_yaml(file, text)
        return Place(reader, (), _plainly(reader.root))
    except _BREAKDOWNS:
        raise _refused(file, None, "This is not valid YAML.") from None


def _plainly(node: Any) -> Any:
    """YAML's own kinds of values as plain ones; keys keep their kind, so that one that is no text is noticed."""
    if isinstance(node, dict):
        return {_plainly(key): _plainly(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plainly(value) for value in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def _refused(file: str, line: int | None, message: str, accepted: str = _PLAIN) -> CatalogRefused:
    return CatalogRefused(message, file=file, line=line, accepted=accepted)


def _hold_plain(file: str, text: str) -> None:
    """Refuse what is not plain, before any of it is put together."""
    levels = 0
    try:
        for event in YAML(typ="rt").parse(text):
            line = event.start_mark.line + 1
            if isinstance(event, AliasEvent) or getattr(event, "anchor", None) is not None:
                raise _refused(file, line, "Anchors and aliases are not accepted.")
            if getattr(event, "tag", None) is not None:
                raise _refused(file, line, "Tags are not accepted.")
            if getattr(event, "value", None) == "<<":
                raise _refused(file, line, "Merges are not accepted.")
            levels += isinstance(event, MappingStartEvent | SequenceStartEvent)
            levels -= isinstance(event, MappingEndEvent | SequenceEndEvent)
            if levels > LEVELS_MAX:
                raise _refused(file, line, "The file is nested too deeply.", f"at most {LEVELS_MAX} levels")
    except (YAMLError, *_BREAKDOWNS):
        return  # the reader says what is wrong, and where
