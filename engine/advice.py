"""What is said of constructs that many write and that are not answered: each refusal names what is answered instead.

Only refusals are made here; what is written in them as accepted is tried by tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.refusals import QueryRefused
    from engine.source import Source

LEVELS = (exp.Rollup, exp.Cube, exp.GroupingSets)
SPREADS = (
    exp.WithinGroup,
    exp.PercentileCont,
    exp.PercentileDisc,
    exp.Quantile,
    exp.ApproxQuantile,
    exp.Median,
    exp.Stddev,
    exp.StddevSamp,
    exp.StddevPop,
    exp.Variance,
    exp.VariancePop,
    exp.Corr,
    exp.Mode,
)
_ROOTS = (exp.Stddev, exp.StddevSamp, exp.StddevPop)
_SQUARES = (exp.Variance, exp.VariancePop)
LENGTH_MAX = 60
"""Longest piece of the question that is written into an advice."""


def levels(source: Source, node: exp.Expr) -> QueryRefused:
    """Of ROLLUP, CUBE and GROUPING SETS."""
    return source.refusal(
        "unsupported",
        f"{source.called(node)} is not answered: each level is a question of its own.",
        node,
        accepted="one SELECT for each level and UNION ALL, with NULL in place of a column that a level leaves out",
    )


def first_of_each(source: Source, node: exp.Expr, owner: str) -> QueryRefused:
    """Of DISTINCT ON, which keeps the first row of each."""
    return source.refusal(
        "unsupported",
        "DISTINCT ON is not accepted.",
        node,
        accepted=f"QUALIFY ROW_NUMBER() OVER (PARTITION BY {owner} ORDER BY …) = 1 in the subquery",
    )


def distinct(source: Source, node: exp.Expr, owner: str) -> QueryRefused:
    """Of DISTINCT in an aggregate over anything but the owner."""
    inside = [part for each in node.find_all(exp.Distinct) for part in each.expressions]
    columns = list(dict.fromkeys(part.name for each in inside for part in each.find_all(exp.Column)))
    if owner.lower() in map(str.lower, columns):
        instead = f"COUNT(*) over a subquery SELECT DISTINCT {', '.join(columns)} FROM …"  # noqa: S608 - it is shown
    else:
        piece = _piece(source, inside[0] if inside else None)
        instead = f"COUNT(DISTINCT {owner}), with GROUP BY {piece} for each of its values"
    return source.refusal(
        "unsupported", f"DISTINCT inside an aggregate is accepted for {owner} alone.", node, accepted=instead
    )


FOREIGN = {
    "AGE": "DATE_DIFF('day', earlier, later)",
    "DATEADD": "d + INTERVAL 1 DAY",
    "DATEPART": "DATE_PART('year', d)",
    "DECODE": "CASE x WHEN … THEN … END",
    "DIV0": "x / y, which is NULL where y is 0",
    "IFF": "IF(condition, x, y)",
    "ISNULL": "COALESCE(x, y), or x IS NULL",
    "NATIONAL": "the text in plain single quotes",
    "NVL2": "IF(x IS NOT NULL, y, z)",
    "SQUARE": "x * x, or POWER(x, 2)",
    "TO_CHAR": "CAST(x AS VARCHAR)",
    "TO_DATE": "CAST(x AS DATE)",
    "TO_NUMBER": "TRY_CAST(x AS INTEGER)",
    "ZEROIFNULL": "COALESCE(x, 0)",
    "[…]": "a name as it is, or in double quotes",
}
"""What stands here for functions of other databases."""


def single(source: Source, node: exp.Expr) -> QueryRefused:
    """Of MAX and MIN over students."""
    return source.refusal(
        "unsupported",
        f"{source.called(node)} is the value of a single student.",
        node,
        accepted=f"a share beyond a threshold, such as {_share(_piece(source, node.this))}",
    )


def spread(source: Source, node: exp.Expr) -> QueryRefused:
    """Of medians, quantiles, spreads and correlations over students."""
    of = node.this if isinstance(node, exp.WithinGroup) else node
    argument = of.this
    if isinstance(node, exp.WithinGroup):
        argument = next((term.this for term in node.find_all(exp.Ordered)), None)
    piece = _piece(source, argument)
    if isinstance(of, exp.Mode):
        instead = f"COUNT(*) with GROUP BY {piece} ORDER BY 2 DESC LIMIT 1"
    elif isinstance(of, _ROOTS):
        instead = f"SQRT({_variance(piece)}), {_share(piece)}"
    elif isinstance(of, _SQUARES):
        instead = f"{_variance(piece)}, {_share(piece)}"
    else:
        instead = f"AVG({piece}), a share beyond a threshold such as {_share(piece)}"
    if isinstance(of, (*_ROOTS, *_SQUARES, exp.Median)):
        instead += ", or the same of each student's own rows in a subquery with GROUP BY"
    return source.refusal(
        "unsupported",
        f"{source.called(of)} over students is not answered.",
        node,
        accepted=instead,
    )


def _share(piece: str) -> str:
    return f"AVG(CASE WHEN {piece} >= … THEN 1 ELSE 0 END)"


def _variance(piece: str) -> str:
    return f"AVG({piece} * {piece}) - AVG({piece}) * AVG({piece})"


def _piece(source: Source, node: exp.Expr | None) -> str:
    """An argument as it was written, where it is short; what is no name stands in parentheses."""
    inner = node.unnest() if isinstance(node, exp.Expr) else None
    text = None if inner is None else source.written(inner)
    if text is None or len(text) > LENGTH_MAX or "\n" in text:
        return "x"
    return text if isinstance(inner, exp.Column) else f"({text})"


def before_groups(source: Source, node: exp.Expr) -> QueryRefused:
    """Of an aggregate in WHERE, in GROUP BY or in another aggregate."""
    part = node
    while isinstance(part.parent, exp.Expr) and not isinstance(part.parent, exp.And | exp.Where | exp.Query):
        part = part.parent
    above = part.find_ancestor(exp.Where, exp.Query)
    if isinstance(above, exp.Where) and isinstance(above.parent, exp.Select):
        text = source.written(part)
        shown = text if text is not None and len(text) <= LENGTH_MAX else "for this condition"
        return source.refusal(
            "unsupported",
            "An aggregate cannot stand in WHERE, which comes before groups are made.",
            node,
            accepted=f"HAVING {shown}",
        )
    return source.refusal(
        "unsupported",
        "An aggregate cannot stand inside WHERE, GROUP BY or another aggregate.",
        node,
        accepted="a condition on single rows; ask first, then write the number",
    )


def subquery(source: Source, node: exp.Expr, owner: str) -> QueryRefused:
    """Of a subquery among a student's rows where a value stands."""
    query = node.unnest()
    instead = "the question asked by itself first, then its number written in"
    shared, others = _correlated(query)
    if isinstance(query, exp.Select) and query.args.get("from_") is not None and owner.lower() in shared:
        table = source.written(query.args["from_"].this) or "…"
        value = query.expressions[0].unalias() if query.expressions else None
        if value is not None and value.find(exp.AggFunc):
            keys = ", ".join([owner, *(name for name in shared if name != owner.lower())])
            more = " WHERE …" if others else ""
            of = value.this.name if isinstance(value.this, exp.Column) else "…"
            call = source.written(value) or f"{source.called(value)}({of})"
            made = f"{keys}, {call} AS n"
            place = "COALESCE(n, 0)" if isinstance(value, exp.Count | exp.CountIf) else "n"
            instead = (
                f"LEFT JOIN (SELECT {made} FROM {table}{more} GROUP BY {keys}) t "  # noqa: S608 - it is shown
                f"USING ({keys}), and {place} in its place"
            )
        else:
            instead = f"JOIN {table} ON its {owner} and the column in its place"
    return source.refusal("unsupported", "A subquery is not accepted here.", node, accepted=instead)


def _correlated(query: exp.Expr) -> tuple[list[str], bool]:
    """The columns that a subquery's WHERE equates with those of the same name around it; whether it says more."""
    where = query.args.get("where")
    shared: list[str] = []
    others = False
    condition = None if where is None else where.this
    for part in condition.flatten() if isinstance(condition, exp.And) else [condition]:
        sides = (part.this, part.expression) if isinstance(part, exp.EQ) else ()
        names = {side.name.lower() for side in sides if isinstance(side, exp.Column)}
        tables = {side.table.lower() for side in sides if isinstance(side, exp.Column)}
        if len(sides) == len(tables) == 2 and len(names) == 1:  # noqa: PLR2004 - both sides
            shared += names
        else:
            others = others or part is not None
    return shared, others


def extreme(node: exp.Expr) -> exp.Column | None:
    """The column of a subquery that asks for its greatest or least value of all and nothing else."""
    query = node.unnest()
    if not isinstance(query, exp.Select) or len(query.expressions) != 1 or _correlated(query)[0]:
        return None
    value = query.expressions[0].unalias()
    found = value.this if isinstance(value, exp.Max | exp.Min) else None
    return found if isinstance(found, exp.Column) else None


def listed(source: Source, node: exp.Expr, column: exp.Column, values: Sequence[object]) -> QueryRefused:
    """Of a subquery that asks for the greatest or least value of a column whose values are public."""
    shown = ", ".join(str(value) for value in values[:20])
    end = values[0] if node.find(exp.Min) else values[-1]
    written = str(end) if isinstance(end, int) else f"'{end}'"
    return source.refusal(
        "unsupported",
        f"A subquery is not accepted here, and the values of {column.name} are public: {shown}.",
        node,
        accepted=f"the value as it is written, such as {written}; COUNT(*) by {column.name} tells which have rows",
    )


def no_table(source: Source, node: exp.Select) -> QueryRefused:
    """Of a SELECT without FROM, which may be one of numbers that are subqueries."""
    found = next((part for each in node.expressions for part in each.find_all(exp.Subquery)), None)
    if found is not None:
        return subquery_above(source, found)
    return source.refusal(
        "syntax",
        "The question names no table.",
        node,
        accepted="SELECT … FROM one of the district's tables",
    )


def subquery_above(source: Source, node: exp.Expr) -> QueryRefused:
    """Of a subquery among an answer's numbers."""
    return source.refusal(
        "unsupported",
        "A subquery is not accepted among the answer's numbers.",
        node,
        accepted="SUM(COUNT(*)) OVER () for the total of all groups; else the subquery in WITH, and CROSS JOIN or "
        "JOIN … ON with its name",
    )
