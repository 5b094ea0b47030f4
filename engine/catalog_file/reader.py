"""The reader of one catalog: YAML with line numbers, and refusals that point into it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from engine.catalog_file.document import CapSpec, ColumnSpec, DistrictSpec, Document, KeepSpec, PrivacySpec, TableSpec
from engine.refusals import CatalogRefused

if TYPE_CHECKING:
    from collections.abc import Sequence


@lru_cache(maxsize=8)
def _parsed(text: str) -> Any:
    """The tree of a YAML text; it is only read, and the same text is parsed once in a process."""
    return YAML(typ="rt").load(text)


def _alias(text: str) -> int | None:
    """The line of the first anchor or alias of a YAML text: with them a short text is a long one."""
    if not {"&", "*"} & set(text):
        return None
    for event in YAML(typ="rt").parse(text):
        if getattr(event, "anchor", None) is not None:
            return int(event.start_mark.line) + 1
    return None


class Reader:
    """One catalog: its file's name, its tree (with line numbers, if read from YAML), refusals that point into it."""

    def __init__(self, file: str, root: Any) -> None:
        self.file = file
        self.root = root

    @classmethod
    def of_yaml(cls, file: str, text: str) -> Reader:
        """The reader of a YAML text."""
        if "\0" in text:
            raise CatalogRefused("The file has a NUL character.", file=file, accepted="plain YAML text")
        try:
            line = _alias(text)
            if line is not None:
                message = "Anchors and aliases are not accepted."
                raise CatalogRefused(message, file=file, line=line, accepted="plain YAML, each thing written out")
            return cls(file, _parsed(text))
        except MarkedYAMLError as error:
            line = None if error.problem_mark is None else error.problem_mark.line + 1
            problem = (error.problem or "it cannot be read").partition(" with value")[0].rstrip(".")
            raise CatalogRefused(
                f"This is not valid YAML: {problem}.",
                file=file,
                line=line,
                accepted="plain YAML, each key once",
            ) from None
        except (YAMLError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError):
            raise CatalogRefused("This is not valid YAML.", file=file, accepted="plain YAML") from None

    def line(self, path: Sequence[str | int]) -> int:
        """The 1-based line of the deepest part of a path that the file has."""
        node, line = self.root, 1
        for part in path:
            try:
                line = node.lc.data[part][0] + 1
                node = node[part]
            except (AttributeError, KeyError, IndexError, TypeError):
                break
        return line

    def refusal(self, path: Sequence[str | int], message: str, accepted: str) -> CatalogRefused:
        """A refusal that names the place `path`."""
        place = ".".join(str(part) for part in path)
        text = f"{place}: {message}" if place else message
        return CatalogRefused(text, file=self.file, line=self.line(path), accepted=accepted)

    def document(self) -> Document:
        """The file as a checked document."""
        if not isinstance(self.root, dict):
            raise self.refusal(
                (), "The file holds no settings.", "district:, privacy: and tables:, each with its settings"
            )
        try:
            return Document.model_validate(_plain(self.root))
        except RecursionError:
            raise self.refusal((), "The file refers to itself.", "plain YAML") from None
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            path = [part for part in first["loc"] if part != "[key]"]
            message, accepted = _explain(first, path)
            raise self.refusal(path, message, accepted) from None


def _explain(error: Any, path: Sequence[str | int]) -> tuple[str, str]:
    """What is wrong with the shape of a declaration, and what would be accepted, in our own words."""
    kind = error["type"]
    if kind == "extra_forbidden":
        return "this is not a setting.", f"one of {', '.join(_model(path[:-1]).model_fields)}"
    if kind == "missing":
        return "this is missing.", f"{path[-1]}: and its value"
    if kind == "model_type":
        return "this is no list of settings.", f"some of {', '.join(_model(path).model_fields)}, each with its value"
    return f"{error['msg']}.", _SHAPES.get(kind.split("_")[0], "a value within these limits")


_SHAPES = {
    "bool": "true or false",
    "decimal": "a number such as 1e-7",
    "dict": "names, each with its settings",
    "int": "a whole number",
    "list": "a list: [one, another]",
    "string": "a text; in quotes if it could be read as something else",
}
"""What would be accepted, by the first word of pydantic's name of the error."""


def _model(path: Sequence[str | int]) -> type[BaseModel]:
    """The settings that stand at a place: DISTRICT, PRIVACY, or tables.NAME.PART and below."""
    heads: dict[str, type[BaseModel]] = {"district": DistrictSpec, "privacy": PrivacySpec}
    parts: dict[str, type[BaseModel]] = {"columns": ColumnSpec, "caps": CapSpec, "keep": KeepSpec}
    match path:
        case ["tables", _, part, *_]:
            return parts.get(str(part), TableSpec)
        case ["tables", _]:
            return TableSpec
        case [head]:
            return heads.get(str(head), Document)
        case _:
            return Document


def _plain(node: Any) -> Any:
    """YAML's round-trip values as plain Python ones."""
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    if isinstance(node, bool) or node is None:
        return node
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return str(node)
