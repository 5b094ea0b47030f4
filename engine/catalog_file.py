"""Reads `district.yaml` into a Catalog; a wrong one is refused with file, line and what would be accepted.

Two steps: `read_catalog` reads what the officer declares; `resolve` adds the rows of the public tables, from
which value lists and score ranges may be taken. Only a resolved catalog can answer questions.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
import zoneinfo
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from engine import tree
from engine.catalog import Cap, Catalog, Column, RangeTable, Table
from engine.expressions import MAGNITUDE_MAX, PRECISION_MAX, SCALE_MAX
from engine.parse import parse_check
from engine.refusals import CatalogRefused, QueryRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


LIST_VALUES_MAX = 100_000
COHORTS_MAX = 200
STUDENTS_MAX = 2**24
DOUBLE_BOUND_MAX = 2.0**60

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_DECIMAL = re.compile(r"decimal\(\s*(\d{1,2})\s*,\s*(\d{1,2})\s*\)")
_RESERVED = ("homeroom_",)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _District(_Strict):
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{2,62}$")
    name: str = Field(min_length=1, max_length=200)
    time_zone: str


class _Privacy(_Strict):
    owner: str
    cohort: str
    cohorts: Any
    delta: Decimal = Field(gt=0, le=Decimal("1e-5"))
    max_students: int = Field(gt=0, le=STUDENTS_MAX, default=STUDENTS_MAX)
    owner_source: str | None = None
    preset: str = "standard"


class _Column(_Strict):
    type: str
    values: Any = None
    bounds: Any = None
    nullable: bool = False
    default: Any = None
    constant: Any = None
    unit: str | None = None
    source: str | None = None
    sensitive: bool = False
    on: bool | None = None


class _Cap(_Strict):
    rows: int = Field(gt=0, le=1_000_000)
    per: list[str] = Field(min_length=1)


class _Keep(_Strict):
    highest: str


class _Table(_Strict):
    columns: dict[str, _Column] = Field(min_length=1)
    public: bool = False
    unique: list[Any] = Field(default_factory=list)
    rows_per_student_max: int | None = Field(default=None, gt=0, le=1_000_000)
    caps: list[_Cap] = Field(default_factory=list)
    checks: list[str] = Field(default_factory=list)
    keep: _Keep | None = None
    sensitive: bool = False
    on: bool | None = None


class _Document(_Strict):
    district: _District
    privacy: _Privacy
    tables: dict[str, _Table] = Field(min_length=1)


class _Reader:
    """One catalog: its file's name, its tree (with line numbers, if read from YAML), refusals that point into it."""

    def __init__(self, file: str, root: Any) -> None:
        self.file = file
        self.root = root

    @classmethod
    def of_yaml(cls, file: str, text: str) -> _Reader:
        """The reader of a YAML text."""
        if "\0" in text:
            raise CatalogRefused("The file has a NUL character.", file=file, accepted="plain YAML text")
        yaml = YAML(typ="rt")
        try:
            return cls(file, yaml.load(text))
        except MarkedYAMLError as error:
            line = None if error.problem_mark is None else error.problem_mark.line + 1
            problem = (error.problem or "it cannot be read").rstrip(".")
            raise CatalogRefused(
                f"This is not valid YAML: {problem}.",
                file=file,
                line=line,
                accepted="plain YAML, each key once",
            ) from None
        except (YAMLError, ValueError, RecursionError):
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

    def refusal(self, path: Sequence[str | int], message: str, accepted: str | None = None) -> CatalogRefused:
        """A refusal that names the place `path`."""
        place = ".".join(str(part) for part in path)
        text = f"{place}: {message}" if place else message
        return CatalogRefused(text, file=self.file, line=self.line(path), accepted=accepted)

    def document(self) -> _Document:
        """The file as a checked document."""
        if not isinstance(self.root, dict):
            raise self.refusal((), "The file must hold district, privacy and tables.", "see the starter catalog")
        try:
            return _Document.model_validate(_plain(self.root))
        except RecursionError:
            raise self.refusal((), "The file refers to itself.", "plain YAML") from None
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            path = [part for part in first["loc"] if part != "[key]"]
            message, accepted = _explain(first, path)
            raise self.refusal(path, message, accepted) from None


def _explain(error: Any, path: Sequence[str | int]) -> tuple[str, str | None]:
    if error["type"] == "extra_forbidden":
        heads: dict[str, type[BaseModel]] = {"district": _District, "privacy": _Privacy}
        parts: dict[str, type[BaseModel]] = {"columns": _Column, "caps": _Cap, "keep": _Keep}
        model = heads.get(str(path[0]), _Document)
        if path[0] == "tables":  # tables.NAME.PART.….KEY
            model = parts.get(str(path[2]), _Table)
        return "this is not a setting.", f"one of {', '.join(model.model_fields)}"
    if error["type"] == "missing":
        return "this is missing.", f"{path[-1]}: and its value"
    return f"{error['msg']}.", "see the starter catalog"


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


def read_catalog(path: Path, file: str | None = None) -> Catalog:
    """The catalog a file declares, its public tables still without rows.

    Raises:
        CatalogRefused: with the file's name, the line, and what would be accepted.
    """
    file = file or str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise CatalogRefused("The file cannot be read.", file=file, accepted="a readable UTF-8 YAML file") from None
    return catalog_of(text, file)


def catalog_of(text: str, file: str) -> Catalog:
    """The catalog a text declares; `file` is its name in refusals."""
    return _catalog(_Reader.of_yaml(file, text))


def catalog_of_document(document: str, file: str) -> Catalog:
    """The catalog of a `Catalog.document`, through the same checks as the YAML it came from.

    Args:
        document: canonical JSON; not read as YAML, which would tear apart characters beyond U+FFFF.
        file: its name in refusals.

    Raises:
        CatalogRefused: the document is damaged.
    """
    try:
        root = json.loads(document)
    except (ValueError, RecursionError):
        raise CatalogRefused("The catalog in it cannot be read.", file=file, accepted="a new load") from None
    return _catalog(_Reader(file, root))


def owner_source(catalog: Catalog) -> str:
    """The name of the owner column in the source files."""
    named = json.loads(catalog.document)["privacy"].get("owner_source")
    return catalog.owner if named is None else str(named)


def _catalog(reader: _Reader) -> Catalog:
    document = reader.document()
    cohorts = _years(reader, ("privacy", "cohorts"), document.privacy.cohorts)
    _head(reader, document)
    tables = {name: _table(reader, name, spec, document.privacy, cohorts) for name, spec in document.tables.items()}
    cohort_tables = [
        name for name, spec in document.tables.items() if not spec.public and document.privacy.cohort in spec.columns
    ]
    if len(cohort_tables) != 1:
        raise reader.refusal(
            ("privacy", "cohort"),
            f"the column {document.privacy.cohort} stands in {len(cohort_tables)} private tables.",
            "the cohort column in exactly one private table, with one row per student",
        )
    if not tables[cohort_tables[0]].on:
        raise reader.refusal(
            ("tables", cohort_tables[0]),
            f"this table brings {document.privacy.cohort} and is off.",
            "the cohort column in a table that is on",
        )
    _references(reader, document)
    structure = json.dumps(document.model_dump(mode="json"), sort_keys=True, ensure_ascii=True)
    return Catalog(
        district_id=document.district.id,
        district_name=document.district.name,
        time_zone=document.district.time_zone,
        owner=document.privacy.owner,
        cohort=document.privacy.cohort,
        cohort_table=cohort_tables[0],
        cohorts=cohorts,
        delta_atto=int(document.privacy.delta * 10**18),
        max_students=document.privacy.max_students,
        tables=tables,
        document=structure,
        digest="",
    )


def _head(reader: _Reader, document: _Document) -> None:
    try:
        zoneinfo.ZoneInfo(document.district.time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise reader.refusal(
            ("district", "time_zone"), "this time zone is not known.", "such as America/New_York"
        ) from None
    if document.privacy.preset != "standard":
        raise reader.refusal(("privacy", "preset"), "this preset is not known.", "standard")
    if document.privacy.delta * 10**18 < 1:
        raise reader.refusal(("privacy", "delta"), "this δ is too small to be counted.", "at least 1e-18")
    for key in ("owner", "cohort"):
        _name(reader, ("privacy", key), getattr(document.privacy, key))
    if document.privacy.owner == document.privacy.cohort:
        raise reader.refusal(("privacy", "cohort"), "owner and cohort are one column.", "two columns")


def _name(reader: _Reader, path: Sequence[str | int], name: str) -> None:
    if not _NAME.fullmatch(name) or name.startswith(_RESERVED):
        raise reader.refusal(
            path,
            f"{name!r} is not a name.",
            "small letters, digits and _, at most 63, not beginning with homeroom_",
        )


def _years(reader: _Reader, path: Sequence[str | int], declared: Any) -> tuple[int, ...]:
    years = _list(reader, path, declared)
    if not all(type(year) is int and 1900 <= year <= 2200 for year in years):  # noqa: PLR2004 - calendar years
        raise reader.refusal(path, "cohorts are calendar years.", "{from: 2020, to: 2042} or a list of years")
    if not 1 <= len(years) <= COHORTS_MAX:
        raise reader.refusal(path, f"there are {len(years)} cohorts.", f"1 to {COHORTS_MAX} cohorts")
    return tuple(sorted(years))


def _list(reader: _Reader, path: Sequence[str | int], declared: Any) -> tuple[Any, ...]:
    """A declared value list: a list, or {from, to} of whole numbers."""
    accepted = "a list of distinct values, or {from: 2020, to: 2026}"
    if isinstance(declared, dict) and set(declared) == {"from", "to"}:
        low, high = declared["from"], declared["to"]
        if type(low) is not int or type(high) is not int or not 0 <= high - low < LIST_VALUES_MAX:
            raise reader.refusal(path, "from and to are not a range of whole numbers.", accepted)
        return tuple(range(low, high + 1))
    if not isinstance(declared, list) or not declared or len(declared) > LIST_VALUES_MAX:
        raise reader.refusal(path, "this is not a value list.", accepted)
    if len({(type(value), value) for value in declared if not isinstance(value, list | dict)}) != len(declared):
        raise reader.refusal(path, "a value stands there twice, or is no single value.", accepted)
    return tuple(declared)


def _table(reader: _Reader, name: str, spec: _Table, privacy: _Privacy, cohorts: tuple[int, ...]) -> Table:
    path = ("tables", name)
    _name(reader, path, name)
    columns: dict[str, Column] = {}
    for column_name, column_spec in spec.columns.items():
        column_path = (*path, "columns", column_name)
        _name(reader, column_path, column_name)
        if column_name == privacy.owner:
            raise reader.refusal(column_path, "the owner column is implied and never declared.", "leave it out")
        columns[column_name] = _column(reader, column_path, column_name, column_spec)
    if spec.public:
        return _public(reader, path, spec, columns)
    if privacy.cohort in columns:
        _cohort(reader, (*path, "columns", privacy.cohort), spec.columns[privacy.cohort], cohorts)
    cohort = columns.pop(privacy.cohort, Column(privacy.cohort, tree.INTEGER))
    columns[privacy.cohort] = dataclasses.replace(
        cohort, values=cohorts, low=min(cohorts), high=max(cohorts), ranges=None
    )
    return _private(reader, path, spec, columns, privacy)


def _public(reader: _Reader, path: tuple[str, str], spec: _Table, columns: dict[str, Column]) -> Table:
    untouched = _Table(columns=spec.columns, public=True, unique=spec.unique)
    for key in _Table.model_fields:
        if getattr(spec, key) != getattr(untouched, key):
            raise reader.refusal((*path, key), "a public table takes no such setting.", "public, unique, columns")
    unique = _unique(reader, path, spec, set(columns))
    for part in (part for key in unique for part in key):
        _carries(reader, (*path, "unique"), columns, part, "a key")
    return Table(path[1], columns, public=True, unique=unique)


def _cohort(reader: _Reader, path: Sequence[str | int], spec: _Column, cohorts: tuple[int, ...]) -> None:
    """The declaration of the cohort column: its list stands in privacy.cohorts, and every student has one."""
    plain = _Column(type="integer", unit=spec.unit, source=spec.source, constant=spec.constant)
    if spec != plain:
        raise reader.refusal(
            path, "the cohort is a whole number, on, never NULL, on its own list.", "{type: integer}"
        )
    if spec.constant is not None and spec.constant not in cohorts:
        raise reader.refusal((*path, "constant"), "this is not on the list of cohorts.", "one of privacy.cohorts")


def _carries(reader: _Reader, path: Sequence[str | int], columns: Mapping[str, Column], part: str, what: str) -> None:
    """A column that rows are told apart by must be there in every row."""
    if part not in columns or columns[part].nullable or not columns[part].on:
        raise reader.refusal(path, f"{part} cannot carry {what}.", "columns that are on and not nullable")


def _private(
    reader: _Reader, path: tuple[str, str], spec: _Table, columns: dict[str, Column], privacy: _Privacy
) -> Table:
    known = {*columns, privacy.owner}
    unique = _unique(reader, path, spec, known)
    for key in unique:
        if privacy.owner not in key:
            raise reader.refusal((*path, "unique"), "a key must include the owner column.", f"[{privacy.owner}, …]")
        for part in key:
            if part != privacy.owner:
                _carries(reader, (*path, "unique"), columns, part, "a key")
    for position, cap in enumerate(spec.caps):
        for part in cap.per:
            _carries(reader, (*path, "caps", position), columns, part, "a cap")
        if any(set(cap.per) == set(other.per) for other in spec.caps[:position]) or len(set(cap.per)) < len(cap.per):
            raise reader.refusal((*path, "caps", position), "columns stand there twice.", "one cap per columns")
    alone = (privacy.owner,) in unique
    if spec.rows_per_student_max is None and not alone:
        raise reader.refusal(path, "how many rows may a student have?", "rows_per_student_max: a whole number")
    on = [name for name, column in columns.items() if column.on]
    if spec.keep is not None and spec.keep.highest not in on:
        raise reader.refusal((*path, "keep"), f"there is no column {spec.keep.highest} that is on.", ", ".join(on))
    scope = {name: tree.Column(name, column.type) for name, column in columns.items() if column.on}
    return Table(
        name=path[1],
        columns=columns,
        public=False,
        unique=unique,
        rows_per_student_max=1 if alone else spec.rows_per_student_max,
        caps=tuple(Cap(cap.rows, tuple(cap.per)) for cap in spec.caps),
        checks=tuple(_check(reader, (*path, "checks", i), text, scope) for i, text in enumerate(spec.checks)),
        check_texts=tuple(spec.checks),
        keep_highest=None if spec.keep is None else spec.keep.highest,
        on=not spec.sensitive if spec.on is None else spec.on,
    )


def _unique(reader: _Reader, path: Sequence[str | int], spec: _Table, known: set[str]) -> tuple[tuple[str, ...], ...]:
    keys = spec.unique if spec.unique and isinstance(spec.unique[0], list) else [spec.unique] if spec.unique else []
    for key in keys:
        if (
            not isinstance(key, list)
            or not key
            or not all(isinstance(part, str) and part in known for part in key)
            or len(set(key)) < len(key)
        ):
            raise reader.refusal(
                (*path, "unique"), "this is not a key.", f"a list of columns among {', '.join(sorted(known))}"
            )
    return tuple(tuple(key) for key in keys)


def _check(reader: _Reader, path: Sequence[str | int], text: str, scope: Mapping[str, tree.Column]) -> tree.Expr:
    try:
        return parse_check(text, scope)
    except QueryRefused as refusal:
        raise reader.refusal(path, f"{refusal.message}", refusal.accepted) from None


# -- columns


def _column(reader: _Reader, path: Sequence[str | int], name: str, spec: _Column) -> Column:
    of, low, high = _type(reader, path, spec.type)
    values: tuple[Any, ...] | None = None
    if of == tree.BOOLEAN:
        values = (False, True)
    elif spec.values is not None and not _is_table(spec.values, {"table", "column"}):
        values = _list(reader, (*path, "values"), spec.values)
        _typed(reader, (*path, "values"), of, values)
    if spec.values is not None and of not in (tree.INTEGER, tree.TEXT):
        raise reader.refusal((*path, "values"), f"{of} takes no value list.", "integer or text columns")
    if isinstance(spec.bounds, list):
        low, high = _bounds(reader, (*path, "bounds"), of, spec.bounds)
    elif spec.bounds is not None and not _is_table(spec.bounds, {"table", "low", "high"}):
        raise reader.refusal((*path, "bounds"), "these are not bounds.", "[least, greatest] or {table, low, high}")
    if values and of == tree.INTEGER:
        low, high = min(values), max(values)
    for key in ("default", "constant"):
        value = getattr(spec, key)
        if value is not None:
            _typed(reader, (*path, key), of, (value,))
            if values is not None and value not in values:
                raise reader.refusal((*path, key), "this is not on the value list.", ", ".join(map(str, values[:20])))
            if of.is_number and ((low is not None and value < low) or (high is not None and value > high)):
                raise reader.refusal((*path, key), "this is outside the bounds.", f"{low} to {high}")
            if isinstance(spec.bounds, dict):
                raise reader.refusal((*path, key), "a column with bounds by a table takes none.", "nullable: true")
    return Column(
        name=name,
        type=of,
        values=values,
        low=low,
        high=high,
        nullable=spec.nullable,
        default=spec.default,
        constant=spec.constant,
        unit=spec.unit,
        source=spec.source,
        on=not spec.sensitive if spec.on is None else spec.on,
    )


def _is_table(declared: Any, keys: set[str]) -> bool:
    return isinstance(declared, dict) and set(declared) == keys and all(isinstance(v, str) for v in declared.values())


def _type(
    reader: _Reader, path: Sequence[str | int], text: str
) -> tuple[tree.Type, Fraction | None, Fraction | None]:
    simple = {"integer": tree.INTEGER, "boolean": tree.BOOLEAN, "text": tree.TEXT, "double": tree.DOUBLE}
    if text in simple:
        return simple[text], None, None
    found = _DECIMAL.fullmatch(text)
    if found is not None:
        precision, scale = int(found[1]), int(found[2])
        if 1 <= precision <= PRECISION_MAX and scale <= min(precision, SCALE_MAX):
            most = Fraction(10**precision - 1, 10**scale)
            return tree.Type("exact", scale), -most, most
    raise reader.refusal(
        (*path, "type"),
        f"{text!r} is not a type.",
        f"integer, boolean, text, double, or decimal(p, s) with p up to 18 and s up to {SCALE_MAX}",
    )


def _typed(reader: _Reader, path: Sequence[str | int], of: tree.Type, values: Sequence[Any]) -> None:
    kinds: dict[str, tuple[type, ...]] = {
        "boolean": (bool,),
        "text": (str,),
        "double": (int, float),
        "exact": (int,),
    }
    for value in values:
        fits = type(value) in kinds[of.kind] or (of.scale > 0 and type(value) is float)
        if not fits or not _representable(value, of):
            hint = f'"{value}" in quotes' if of == tree.TEXT else f"values of type {of}"
            raise reader.refusal(path, f"{value!r} is not {of}.", hint)
        if isinstance(value, int) and abs(value) >= MAGNITUDE_MAX:
            raise reader.refusal(path, f"{value} is too large.", "numbers below 4.6e18")


def _representable(value: Any, of: tree.Type) -> bool:
    """Whether a value can be stored exactly: finite, with no more decimal places, as proper text.

    >>> _representable(12.5, tree.Type("exact", 1)), _representable(12.55, tree.Type("exact", 1))
    (True, False)
    """
    if isinstance(value, str):
        return "\0" not in value and value.encode("utf-8", "replace").decode() == value
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return of.kind != "exact" or (Fraction(str(value)) * 10**of.scale).denominator == 1


def _bounds(reader: _Reader, path: Sequence[str | int], of: tree.Type, declared: list[Any]) -> tuple[Any, Any]:
    accepted = "[least, greatest], two numbers of the column's type"
    if not of.is_number or len(declared) != 2 or not all(type(v) in (int, float) for v in declared):  # noqa: PLR2004
        raise reader.refusal(path, "these are not bounds.", accepted)
    if of == tree.DOUBLE:
        if not -DOUBLE_BOUND_MAX <= declared[0] <= declared[1] <= DOUBLE_BOUND_MAX:
            raise reader.refusal(path, "these are not bounds.", "finite numbers below 1e18, least first")
        return float(declared[0]), float(declared[1])
    if not all(isinstance(value, int) or math.isfinite(value) for value in declared):
        raise reader.refusal(path, "these are not bounds.", accepted)
    bounds = [Fraction(str(value)) for value in declared]
    if any((bound * 10**of.scale).denominator != 1 or abs(bound * 10**of.scale) >= MAGNITUDE_MAX for bound in bounds):
        raise reader.refusal(path, f"a bound does not fit {of}.", accepted)
    if bounds[0] > bounds[1]:
        raise reader.refusal(path, "the least is above the greatest.", accepted)
    low_bound, high_bound = (int(bound) if bound.denominator == 1 else bound for bound in bounds)
    return low_bound, high_bound


# -- public tables


def _references(reader: _Reader, document: _Document) -> None:
    """Each value list or bounds taken from a public table must name one, with a fitting key."""
    for table, name, spec in _columns(document):
        path = ("tables", table, "columns", name)
        if _is_table(spec.values, {"table", "column"}):
            target = document.tables.get(spec.values["table"])
            if target is None or not target.public or not _is_on(target.columns.get(spec.values["column"])):
                raise reader.refusal(
                    (*path, "values"), "there is no such public table and column.", "{table, column}"
                )
            if target.columns[spec.values["column"]].type != spec.type:
                raise reader.refusal((*path, "values"), "the two columns differ in type.", "columns of one type")
        if _is_table(spec.bounds, {"table", "low", "high"}):
            _range_reference(reader, document, (*path, "bounds"), table, spec)


def _is_on(column: _Column | None) -> bool:
    return column is not None and (not column.sensitive if column.on is None else column.on)


def _range_reference(
    reader: _Reader, document: _Document, path: Sequence[str | int], table: str, spec: _Column
) -> None:
    """Bounds by a table need one that is public, of the column's own type, unique on columns both tables have."""
    target, own = document.tables.get(spec.bounds["table"]), document.tables[table].columns
    ends = [] if target is None else [target.columns.get(spec.bounds[end]) for end in ("low", "high")]
    if target is None or not target.public or not all(map(_is_on, ends)):
        raise reader.refusal(path, "there is no such public table.", "{table, low, high}")
    if spec.type in ("text", "boolean") or any(end is not None and end.type != spec.type for end in ends):
        raise reader.refusal(path, "the column and its bounds differ in type.", "numbers of one type")
    keys = [key for key in target.unique if isinstance(key, str)]
    if not keys or not all(_is_on(own.get(key)) for key in keys):
        raise reader.refusal(
            path, f"{spec.bounds['table']} must be unique on columns that {table} has too.", "unique: [column, …]"
        )
    for key in keys:
        if own[key].type != target.columns[key].type or isinstance(own[key].bounds, dict):
            raise reader.refusal(path, f"{key} differs in type, or has such bounds itself.", "columns of one type")


def _columns(document: _Document) -> Iterator[tuple[str, str, _Column]]:
    for table, spec in document.tables.items():
        for name, column in spec.columns.items():
            yield table, name, column


def resolve(catalog: Catalog, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> Catalog:
    """The catalog with the value lists and ranges that its public tables give.

    Args:
        catalog: as read from its file.
        rows: the rows of each public table, by column name; typed and verified by the loader.

    Raises:
        CatalogRefused: a public table is missing, or gives no list.
    """
    document = _Document.model_validate(json.loads(catalog.document))
    tables = dict(catalog.tables)
    for table, name, spec in _columns(document):
        column = tables[table].columns.get(name)
        if column is None or table not in tables:
            continue
        if _is_table(spec.values, {"table", "column"}):
            listed = _public_values(catalog, spec.values["table"], spec.values["column"], rows)
            _still_listed(catalog, table, column, listed)
            low, high = (min(listed), max(listed)) if column.type == tree.INTEGER else (None, None)
            column = dataclasses.replace(column, values=listed, low=low, high=high)
        if _is_table(spec.bounds, {"table", "low", "high"}):
            column = dataclasses.replace(column, ranges=_ranges(catalog, spec.bounds, rows))
        tables[table] = dataclasses.replace(tables[table], columns={**tables[table].columns, name: column})
    content = json.dumps(
        [catalog.document, {name: list(rows[name]) for name in sorted(rows)}], sort_keys=True, default=str
    )
    return dataclasses.replace(catalog, tables=tables, digest=hashlib.sha256(content.encode()).hexdigest())


def _still_listed(catalog: Catalog, table: str, column: Column, listed: tuple[Any, ...]) -> None:
    for value in (column.default, column.constant):
        if value is not None and value not in listed:
            raise CatalogRefused(
                f"tables.{table}.columns.{column.name}: {value!r} is not a value of its public table.",
                file=catalog.district_id,
                accepted="a default or constant that the public table has",
            )


def _public_values(
    catalog: Catalog, table: str, column: str, rows: Mapping[str, Sequence[Mapping[str, Any]]]
) -> tuple[Any, ...]:
    values = tuple(sorted({row[column] for row in rows.get(table, ()) if row[column] is not None}))
    if not values or len(values) > LIST_VALUES_MAX:
        raise CatalogRefused(
            f"The public table {table} gives {len(values)} values for {column}.",
            file=catalog.district_id,
            accepted=f"1 to {LIST_VALUES_MAX:,} values: --table {table}=FILE",
        )
    return values


def _ranges(
    catalog: Catalog, bounds: Mapping[str, str], rows: Mapping[str, Sequence[Mapping[str, Any]]]
) -> RangeTable:
    table, low, high = bounds["table"], bounds["low"], bounds["high"]
    keys = catalog.tables[table].unique[0]
    found = []
    for row in rows.get(table, ()):
        key = tuple(row[column] for column in keys)
        if None in key or row[low] is None or row[high] is None or row[low] > row[high]:
            raise CatalogRefused(
                f"A row of the public table {table} gives no range.",
                file=catalog.district_id,
                accepted="low <= high",
            )
        found.append((key, row[low], row[high]))
    if not found:
        raise CatalogRefused(
            f"The public table {table} has no rows.",
            file=catalog.district_id,
            accepted=f"--table {table}=FILE",
        )
    return RangeTable(table, keys, low, high, tuple(sorted(found)))
