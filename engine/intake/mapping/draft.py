"""The draft of a mapping, from the names of files and of their columns: never from a row.

What it proposes is a valid mapping; what it found nothing for stands beside it as a comment, for a person to decide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine import tree
from engine.catalog_file import owner_source
from engine.intake.header import source_columns
from engine.intake.mapping.identifiers import joined, never_read
from engine.intake.mapping.synonyms import OWNERS, YEARS, codes_of, names_of
from engine.vault import stored_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from engine.catalog import Catalog, Column, Table

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_WORDS_OF_YAML = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"))
_LEAD = """\
# A draft, made from the names of columns alone; no row was read. Check every line before a load.
# A column marked ? was found nowhere: name one, or say {blank: true} or {value: …}.
"""


@dataclass(frozen=True, slots=True)
class _Proposal:
    """One file for one table.

    Attributes:
        found: column of the table → column of the file.
        year: the file's column with the school year, if rows of several years must become one.
    """

    file: str
    header: Sequence[str]
    owner: str | None
    found: Mapping[str, str]
    year: str | None


def draft(headers: Mapping[str, Sequence[str]], catalog: Catalog) -> str:
    """The text of a mapping for a catalog.

    Args:
        headers: the name of each file, and the names of its columns.
        catalog: whose tables are to be filled.

    Returns:
        The same text for the same names, in whatever order the files come.
    """
    proposals = {table.name: _best(table, headers, catalog) for table in stored_tables(catalog)}
    used = any(proposal is not None for proposal in proposals.values())
    lines = ["tables:" if used else "tables: {}"]
    for table in stored_tables(catalog):
        lines += ["", *_table(table, proposals[table.name], catalog)]
    lines += ["", *_left(headers, [proposal for proposal in proposals.values() if proposal is not None])]
    return _LEAD + "\n".join(lines).rstrip() + "\n"


# -- what fits


def _best(table: Table, headers: Mapping[str, Sequence[str]], catalog: Catalog) -> _Proposal | None:
    """The file with most of a table's columns; of equal ones the first by name."""
    every = [_proposal(table, file, headers[file], catalog) for file in sorted(headers)]
    fit = [proposal for proposal in every if proposal is not None]
    return max(fit, key=lambda proposal: len(proposal.found), default=None)


def _proposal(table: Table, file: str, header: Sequence[str], catalog: Catalog) -> _Proposal | None:
    owner = _named(header, (owner_source(catalog), catalog.owner), OWNERS)
    readable = header if table.public else [name for name in header if not never_read(name) and name != owner]
    found = {}
    for column in source_columns(catalog, table):
        name = _named(readable, (column.source or column.name, column.name), names_of(column.name))
        if name is not None:
            found[column.name] = name
    if table.public:
        # a list of schools made from a file about students would be made from records
        useful = owner is None and all(part in found for key in table.unique for part in key)
        return _Proposal(file, header, None, found, None) if useful and len(found) > 1 else None
    year = _named(readable, (), YEARS) if (catalog.owner,) in table.unique else None
    if year is not None and "entry_year" in table.columns and "entry_year" not in found:
        found["entry_year"] = year
    useful = owner is not None and not _own_columns(table, catalog).isdisjoint(found)
    return _Proposal(file, header, owner, found, year) if useful else None


def _own_columns(table: Table, catalog: Catalog) -> frozenset[str]:
    """The columns that tell a table from all others; years and schools, which many have, make no proposal."""
    others = {name for other in stored_tables(catalog) if other.name != table.name for name in other.columns}
    own = frozenset(column.name for column in source_columns(catalog, table))
    return own - others or own


def _named(header: Sequence[str], exact: Iterable[str], alike: Iterable[str]) -> str | None:
    """The column that is called so: exactly, but for capital letters, or by a name that means the same."""
    for wanted in exact:
        for same in (str, str.lower):
            for name in header:
                if name and same(name) == same(wanted):
                    return name
    for wanted in alike:
        for name in header:
            if name and joined(name) == wanted:
                return name
    return None


# -- what is written


def _table(table: Table, proposal: _Proposal | None, catalog: Catalog) -> Iterator[str]:
    columns = source_columns(catalog, table)
    if proposal is None:
        yield f"  # {table.name}: ?   # no file has what it needs: {', '.join(column.name for column in columns)}"
        return
    yield f"  {table.name}:"
    yield f"    from: {_written(proposal.file)}"
    if proposal.owner is not None:
        yield f"    owner: {_written(proposal.owner)}   # CHECK: one number a person, the same in all files and years"
    if proposal.year is not None:
        yield "    one_row_per: [student]"
        yield f"    read: {{year: {{column: {_written(proposal.year)}, type: integer, bounds: [1990, 2099]}}}}"
    yield "    columns:"
    yield from (f"      {_column(column, proposal)}" for column in columns)
    yield from _beside(proposal, public=table.public)


def _column(column: Column, proposal: _Proposal) -> str:
    header = proposal.found.get(column.name)
    if header is None:
        may_be_blank = column.nullable or column.default is not None
        return f"# {column.name}: ?" + (f"   # or {column.name}: {{blank: true}}" if may_be_blank else "")
    codes = _codes(column, header)
    take = _take(header, proposal)
    if not codes and not take:
        return f"{column.name}: {_written(header)}"
    return f"{column.name}: {{column: {_written(header)}{codes}{take}}}" + ("   # check the codes" if codes else "")


def _codes(column: Column, header: str) -> str:
    if column.type != tree.TEXT or column.values is None:
        return ""
    codes = codes_of(column.name, header, frozenset(map(str, column.values)))
    pairs = ", ".join(f"{_written(text)}: {_written(value)}" for text, value in codes.items())
    return f", codes: {{{pairs}}}" if codes else ""


def _take(header: str, proposal: _Proposal) -> str:
    if proposal.year is None:
        return ""
    return ", take: lowest" if header == proposal.year else ", take: last, by: year"


def _beside(proposal: _Proposal, *, public: bool) -> Iterator[str]:
    """What of a file is not used, as comments."""
    used = {proposal.owner, proposal.year, *proposal.found.values()}
    rest = [name for name in proposal.header if name and name not in used]
    never = [] if public else [name for name in rest if never_read(name)]
    other = [name for name in rest if name not in never]
    if never:
        yield f"    # never read: {', '.join(map(_written, never))}"
    if other:
        yield f"    # left behind: {', '.join(map(_written, other))}"


def _left(headers: Mapping[str, Sequence[str]], proposals: Sequence[_Proposal]) -> Iterator[str]:
    used = {proposal.file for proposal in proposals}
    for file in sorted(set(headers) - used):
        yield f"# {_written(file)} is not used; it has {', '.join(_written(name) for name in headers[file] if name)}"


def _written(text: str) -> str:
    r"""A text as YAML: plain where it cannot be taken for anything else, in quotes and on one line otherwise.

    >>> _written("sid"), _written("09"), _written("No"), _written("a: #\n")
    ('sid', '"09"', '"No"', '"a: #\\U0000000a"')
    """
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS_OF_YAML:
        return text
    return '"' + "".join(map(_character, text)) + '"'


def _character(one: str) -> str:
    if one in ('"', "\\"):
        return f"\\{one}"
    return one if one.isprintable() else f"\\U{ord(one):08x}"
