"""What the server said, as tables, pages and charts.

pandas and altair are imported where they are used: who asks from a program without them needs neither.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from api import schemas
from api.client.errors import plain
from api.figures import figure, unsure, years

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import altair as alt
    import pandas as pd

SUFFIXES = ("_se", "_moe90", "_moe95")
DTYPES = {"integer": "Int64", "double": "Float64", "boolean": "boolean", "date": "datetime64[s]"}
WHOLE_MAX = 2**63
REHEARSAL = "rehearsal"
REHEARSED = "REHEARSAL: invented records, not this district's"
MARGINS = "estimate ± 90 % margin of the noise added for privacy"
SIZES = ("30", "100", "1000")
ROWS_SHOWN_MAX = 60


def is_uncertain(column: schemas.Column) -> bool:
    """Whether its values are numbers with noise in them; keys, and texts that were made of numbers, are not."""
    return column.role != "key" and column.type in ("integer", "double")


class Answer(schemas.Release):
    """A private answer: each estimate with its standard error and margins of error, its cost, and its notes."""

    def to_pandas(self) -> pd.DataFrame:
        """The answer as a table: its columns, then for each estimate `_se`, `_moe90` and `_moe95`.

        Where cohorts were left out, a last column `partial` names those that can occur in the row. In a rehearsal,
        and only there, the very last column is `rehearsal`, true in every row. Dates are `datetime64[s]`.
        """
        import pandas as pd  # noqa: PLC0415 - see the module's docstring

        table: dict[str, Any] = {}
        for position, column in enumerate(self.columns):
            cells = [row[position] for row in self.rows]
            table[column.name] = pd.Series(cells, dtype=_dtype(column, cells))
        for position, column in enumerate(self.columns):
            if is_uncertain(column):
                for suffix, errors in zip(SUFFIXES, (self.se, self.moe90, self.moe95), strict=True):
                    table[f"{column.name}{suffix}"] = pd.Series([row[position] for row in errors], dtype="Float64")
        if self.cohorts_left_out:
            table["partial"] = pd.Series([" ".join(map(str, each)) for each in self.partial], dtype="string")
        if self.rehearsal:
            name = REHEARSAL
            while name in table:  # the question may have a column of this name
                name += "_"
            table[name] = pd.Series([True] * len(self.rows), dtype="boolean")
        return pd.DataFrame(table)

    def plot(self, x: str | None = None, y: str | None = None, color: str | None = None) -> alt.LayerChart:
        """The estimates as points with their 90 % margins as bars; a point without a bar has no known margin.

        Args:
            x: a column of groups; the first if none is named.
            y: an estimate; the first if none is named.
            color: another column of groups; the others together if none is named.

        Raises:
            ValueError: there is no such column.
            ImportError: altair is not installed.
        """
        from api.client.chart import chart  # noqa: PLC0415 - see the module's docstring

        return chart(self, x, y, color)

    def _repr_html_(self) -> str:
        partial = bool(self.cohorts_left_out)
        heads = [_head(column) for column in self.columns] + ["partial: without classes"] * partial
        rows = [
            [_cell(*each) for each in zip(row, margins, self.columns, strict=True)] + [years(without)] * partial
            for row, margins, without in zip(self.rows, self.moe90, self.partial, strict=True)
        ]
        return _page(heads, rows, [*_marked(self), MARGINS, self._cost(), *_said(self)])

    def _cost(self) -> str:
        if self.rehearsal:
            return "Free: a rehearsal."
        if not self.charges:
            return "Free: everything in this answer had been measured already." if self.replayed else ""
        again = " when it was first asked, and nothing this time" if self.replayed else ""
        return f"Charged: {_most(self.charges)}{again}."

    def __str__(self) -> str:
        return "\n".join([*map(plain, self.to_pandas().to_string(index=False).split("\n")), repr(self)])

    def __repr__(self) -> str:
        marked = "rehearsal, " if self.rehearsal else ""
        names = ", ".join(column.name for column in self.columns)
        return plain(f"Answer({marked}{len(self.rows)} rows of {names}; request_id={self.request_id!r})")


class Foretold(schemas.Preview):
    """What a question would cost, and how wide its margins would be."""

    def to_pandas(self) -> pd.DataFrame:
        """A row for each estimate: its 90 % margin, and where it is a ratio that over 30, 100 and 1,000 rows."""
        import pandas as pd  # noqa: PLC0415 - see the module's docstring

        table: dict[str, Any] = {"column": pd.Series([each.column for each in self.expected], dtype="string")}
        table["moe90"] = pd.Series([each.moe90 for each in self.expected], dtype="Float64")
        for size in SIZES:
            margins = [(each.moe90_at_n or {}).get(size) for each in self.expected]
            table[f"moe90_at_{size}"] = pd.Series(margins, dtype="Float64")
        return pd.DataFrame(table)

    def _repr_html_(self) -> str:
        heads = ["column", "90 % margin", *(f"at {int(size):,} rows" for size in SIZES)]
        rows = [
            [each.column, _margin(each.moe90), *(_margin((each.moe90_at_n or {}).get(size)) for size in SIZES)]
            for each in self.expected
        ]
        cost = f"Would charge {_most(self.charges)}." if self.charges else "Would be free."
        return _page(heads, rows, [*_marked(self), cost, *_said(self)])

    def __str__(self) -> str:
        return "\n".join([*map(plain, self.to_pandas().to_string(index=False).split("\n")), repr(self)])

    def __repr__(self) -> str:
        cost = _most(self.charges) if self.charges else "free"
        margins = ", ".join(f"{each.column} {_foretold(each)}" for each in self.expected)
        return plain(f"Foretold({margins}; {cost})")


class Reasons(schemas.Explanation):
    """Why a question costs what it costs, and what would make it sharper."""

    def to_pandas(self) -> pd.DataFrame:
        """A row for each statistic that is measured: what one student can do to it, and its noise."""
        import pandas as pd  # noqa: PLC0415 - see the module's docstring

        names = (
            "statistic",
            "rows",
            "rows_because",
            "groups",
            "bound",
            "unit",
            "sensitivity_l2",
            "scale",
            "loss_nanorho",
        )
        return pd.DataFrame(
            [[getattr(each, name) for name in names] for each in self.statistics], columns=list(names)
        )

    def _repr_html_(self) -> str:
        heads = ["statistic", "rows of one student", "why", "groups of one student", "noise (sd)"]
        rows = [
            [each.statistic, str(each.rows), each.rows_because, str(each.groups), f"{each.scale * each.unit:.4g}"]
            for each in self.statistics
        ]
        return _page(heads, rows, [*self.advice, *self.preview.notes])

    def __repr__(self) -> str:
        told = [f"Reasons({len(self.statistics)} statistics, {self.groups} groups)", *self.advice]
        return "\n".join(map(plain, told))

    __str__ = __repr__


class Budget(schemas.Cohorts):
    """What each class of students has spent and has left under the grant."""

    def to_pandas(self) -> pd.DataFrame:
        """A row for each class: its standing, what part of year, grant and lifetime is spent, and how far it goes."""
        import pandas as pd  # noqa: PLC0415 - see the module's docstring

        rows = [
            {
                "cohort": each.cohort,
                "standing": each.standing,
                "grant_spent": _share(each.allowance_spent_nanorho, each.allowance_cap_nanorho),
                "year_spent": _share(each.year_spent_nanorho, each.year_cap_nanorho),
                "lifetime_spent": _share(each.lifetime_spent_nanorho, each.lifetime_cap_nanorho),
                "more_questions": each.more_questions,
                "dry_on": None if each.dry_on is None else each.dry_on.isoformat(),
            }
            for each in self.cohorts
        ]
        kinds = {"cohort": "Int64", "standing": "string", "more_questions": "Int64", "dry_on": "string"}
        shares = dict.fromkeys(("grant_spent", "year_spent", "lifetime_spent"), "Float64")
        names = list(rows[0]) if rows else [*kinds, *shares]
        return pd.DataFrame(rows, columns=names).astype({**kinds, **shares})

    def _repr_html_(self) -> str:
        heads = [
            "class",
            "standing",
            "of the grant's year",
            "of the class's year",
            "of its lifetime",
            "questions left",
        ]
        rows = [
            [
                str(each.cohort),
                each.standing,
                f"{_share(each.allowance_spent_nanorho, each.allowance_cap_nanorho):.1%}",
                f"{_share(each.year_spent_nanorho, each.year_cap_nanorho):.1%}",
                f"{_share(each.lifetime_spent_nanorho, each.lifetime_cap_nanorho):.1%}",
                f"{each.more_questions:,}",
            ]
            for each in self.cohorts
        ]
        return _page(heads, rows, [f"Spent in the budget year {self.budget_year}, under the grant {self.grant}."])

    def __str__(self) -> str:
        return "\n".join([*map(plain, self.to_pandas().to_string(index=False).split("\n")), repr(self)])

    def __repr__(self) -> str:
        return f"Budget(grant={self.grant!r}, budget_year={self.budget_year}, {len(self.cohorts)} classes)"


class Tables(schemas.Schema):
    """What may be asked about."""

    def to_pandas(self) -> pd.DataFrame:
        """A row for each column of each table: its type, its unit, and all the values it can have."""
        import pandas as pd  # noqa: PLC0415 - see the module's docstring

        names = ("table", "column", "type", "unit", "nullable", "values")
        return pd.DataFrame(list(self._rows()), columns=list(names))

    def _rows(self) -> Iterable[tuple[str, str, str, str | None, bool, str]]:
        for table in self.tables:
            for each in table.columns:
                yield table.name, each.name, each.type, each.unit, each.nullable, _values(each)

    def _repr_html_(self) -> str:
        heads = ["table", "column", "type", "unit", "may be NULL", "values"]
        rows = [[a, b, c, d or "", "yes" if e else "", f] for a, b, c, d, e, f in self._rows()]
        return _page(heads, rows, [f"{self.district_name}, under the grant {self.grant}"])

    def __str__(self) -> str:
        return "\n".join([*map(plain, self.to_pandas().to_string(index=False).split("\n")), repr(self)])

    def __repr__(self) -> str:
        return plain(f"Tables({', '.join(table.name for table in self.tables)}; grant={self.grant!r})")


def _dtype(column: schemas.Column, cells: Sequence[schemas.Cell]) -> Any:
    """The type of a column of the table; whole numbers that fit none of 64 bits are floating-point numbers."""
    if column.type == "integer" and any(isinstance(cell, int | float) and abs(cell) >= WHOLE_MAX for cell in cells):
        return "Float64"
    return DTYPES.get(column.type, "string")


def _values(column: schemas.SchemaColumn) -> str:
    """All the values there can be, or the bounds."""
    listed = column.values  # noqa: PD011 - a field of ours, no frame
    if listed is not None:
        return ", ".join(text_of(value) for value in listed)
    if column.low is None or column.high is None:
        return ""
    return " to ".join(end if isinstance(end, str) else f"{end:g}" for end in (column.low, column.high))


def _share(spent: int, cap: int) -> float:
    return spent / cap if cap else 1.0


def _most(charges: Sequence[schemas.Charge]) -> str:
    most = max(charge.epsilon for charge in charges)
    return f"at most ε {most:.3g} (δ 5e-8) to each of {len(charges)} classes of students"


def _marked(answered: schemas.Release | schemas.Preview) -> list[str]:
    return [REHEARSED] if answered.rehearsal else []


def _said(answered: schemas.Release | schemas.Preview) -> list[str]:
    """What else must be said of an answer."""
    reasons = [f"{column.name}: {column.moe_reason}" for column in answered.columns if column.moe_reason]
    without: dict[str, list[int]] = {}
    for each in answered.cohorts_left_out:
        without.setdefault(each.reason, []).append(each.cohort)
    left_out = [f"left out: class of {years(cohorts)} ({reason})" for reason, cohorts in without.items()]
    return [*reasons, *answered.notes, *left_out]


def _head(column: schemas.Column) -> str:
    return f"{column.name} ({column.unit})" if column.unit and column.role == "estimate" else column.name


def _cell(value: schemas.Cell, margin: float | None, column: schemas.Column) -> str:
    if not is_uncertain(column):
        return text_of(value)
    if not isinstance(value, int | float):
        return "—"
    if margin is None:
        return f"{unsure(value, derived=column.role == 'derived')} ± ?"
    return f"{figure(value, margin)} ± {figure(margin, margin)}"


def text_of(value: schemas.Cell) -> str:
    """A value as SQL writes it.

    >>> text_of(True), text_of(None), text_of("09")
    ('true', 'NULL', '09')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    return "NULL" if value is None else str(value)


def _foretold(expected: schemas.Expected) -> str:
    """The margin of a cell, or that of a ratio in the largest cells that are foretold."""
    at_n = expected.moe90_at_n
    return f"{_margin(at_n.get(SIZES[-1]))} at 1,000 rows" if at_n else _margin(expected.moe90)


def _margin(margin: float | None) -> str:
    return "—" if margin is None else f"± {figure(margin, margin)}"


def _page(heads: Sequence[str], rows: Sequence[Sequence[str]], lines: Sequence[str]) -> str:
    """A table and what must be said of it; all text is escaped, and a long table is cut."""
    top = "".join(f"<th>{escape(head)}</th>" for head in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows[:ROWS_SHOWN_MAX])
    cut = [f"… and {len(rows) - ROWS_SHOWN_MAX:,} more rows"] if len(rows) > ROWS_SHOWN_MAX else []
    said = "".join(f"<div>{escape(line)}</div>" for line in [*cut, *lines] if line)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>{said}"
