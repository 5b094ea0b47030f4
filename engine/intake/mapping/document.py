"""The document: what a mapping declares, before it is held against a catalog or a header.

A mapping has tables; a table is filled from one file:

    tables:
      student:
        from: students.csv             # a file in the source's folder; book.xlsx#Sheet names a sheet
        owner: sid                     # the column with the person's id
        only: {role: [student]}        # rows that count; case and space around a text do not
        one_row_per: [student]         # one row from all rows of a student; or [student, school_year]
        read:                          # source columns that formulas and `by` use, typed
          grade9: {column: first_9th, type: integer, bounds: [1990, 2060]}
          left: {column: exit_date, date: "%m/%d/%Y", part: school_year}
        columns:                       # every column of the table
          cohort_year: {formula: grade9 + 3, take: lowest}
          sex: {column: male, codes: {"1": M, "0": F}, take: only}
          lunch: {column: lunchk, take: any}
          outcome: {value: unknown}    # the same in every row
          gpa: {blank: true}           # the catalog's default, or NULL where it may be

or from several parts, one below the other, as a file for each year or a column for each grade need it:

    tables:
      child_year:
        - from: star.csv
          owner: child
          only: {class_k: [small, regular]}
          columns: {grade: {value: "K"}, score: math_k}   # short for {column: math_k}
        - from: star.csv
          owner: child
          only: {class_1: [small, regular]}
          columns: {grade: {value: "1"}, score: math_1}

Codes are compared without case and the space around them; "" stands for a blank cell. A text that is not among the
codes is blank and counted in the report, or what `else:` says. A date may have several formats: [one, another]; dates
of Excel and Stata files come as %Y-%m-%d. Of Stata's coded columns the codes come, not the labels. The owner must be
the number of a person, never of a row: a child whose rows have different numbers is several children, and less safe.
Where rows are told apart by a column too, all rows of a student whose cell there is not accepted are one row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine import tree
    from engine.catalog import Column
    from engine.intake.mapping.place import Place

STUDENT = "student"
"""The word in `one_row_per` for the person whose rows they are."""

TAKES = ("first", "last", "lowest", "highest", "only", "any", "all", "sum", "count", "distinct")
"""What one row may take of the accepted cells of all rows it stands for; cells not accepted are passed over.

first, last: of the rows in the order of `by` (rows without one come after all others), ties by the lowest and the
    highest value.
lowest, highest: of numbers as numbers, of texts in the order of their characters.
only: the one value they all have; blank if they have several.
any, all: of yes-or-no columns.
sum: of exact numbers.
count, distinct: how many cells are not blank, and how many different texts they have.
"""
ORDERED = ("first", "last")

PARTS = ("year", "month", "school_year", "iso")
"""What is taken of a date; from July on it belongs to the next spring's school year; `iso` is 2025-06-30."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The text of one source column, in other words where the mapping has them.

    Attributes:
        column: its name in the source.
        codes: text → what it becomes, the texts as `folded`; None if texts stay as they are.
        otherwise: what becomes of a text that is not among the codes; blank if None.
        dates: formats of which one must read it.
        part: what is taken of the date, one of `PARTS`.
    """

    column: str
    codes: Mapping[str, str] | None = None
    otherwise: str | None = None
    dates: tuple[str, ...] = ()
    part: str = "iso"


@dataclass(frozen=True, slots=True)
class Read:
    """A typed name for formulas and `by`: a cell, and what is accepted of it."""

    cell: Cell
    column: Column


@dataclass(frozen=True, slots=True)
class Formula:
    """An expression over the typed names of its row."""

    text: str
    expr: tree.Expr


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same in every row; blank if None."""

    value: str | None


@dataclass(frozen=True, slots=True)
class Target:
    """What one column of a table is made of.

    Attributes:
        take: one of `TAKES`, where several rows become one.
        by: the typed name that orders `first` and `last`.
        place: where the mapping says so.
    """

    name: str
    given: Cell | Formula | Fixed
    take: str | None
    by: str | None
    place: Place


@dataclass(frozen=True, slots=True)
class Part:
    """One table, or one part of it, filled from one file.

    Attributes:
        file: as the mapping names it.
        owner: the source column with the person's id; None for a public table.
        one_row_per: the columns that rows of one student are told apart by; None if rows stay as they are.
        only: source column → accepted texts, as `folded`.
        place: where the mapping declares it.
    """

    table: str
    file: str
    owner: str | None
    one_row_per: tuple[str, ...] | None
    only: Mapping[str, frozenset[str]]
    reads: Mapping[str, Read]
    targets: Mapping[str, Target]
    place: Place


_AROUND = "\t\n\v\f\r \xa0"


def folded(text: str) -> str:
    """A text as codes are compared: without the space around it, and without case.

    >>> folded(" Free ")
    'free'
    """
    return text.strip(_AROUND).casefold()
