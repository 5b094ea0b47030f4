"""What a row of the table of functions is.

A row is written once and read by all: `engine.expressions` finds it by how it is written, `engine.analysis` asks it
for its interval rule, `engine.sql` for its total form, the reference page and the tests for what it says of itself.
There are four kinds:

- `Syntax`: read by `engine.expressions` itself, as operators, CASE and CAST are.
- `Made`: stands for other expressions of the tree.
- `Native`: a `tree.Call`, computed by the database; it has an interval rule and a total form.
- `Tabulated`: computed in Python while the question is read, once for each value on a public list, and compiled to
  a look-up. No text of a record is ever worked on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlglot import exp

    from engine.ranges import Range
    from engine.refusals import RefusalCode
    from engine.tree import Call, Expr, Scalar, Type

Family = Literal["conditions", "choices", "numbers", "texts", "dates"]


class Misfit(Exception):  # noqa: N818 - says what is wrong with the arguments
    """The arguments do not fit a function; whoever reads the question says where.

    Attributes:
        position: of the argument; None for all of them.
        accepted: what would be.
    """

    def __init__(
        self, message: str, accepted: str, *, position: int | None = None, code: RefusalCode = "unsupported"
    ) -> None:
        super().__init__(message)
        self.message = message
        self.accepted = accepted
        self.position = position
        self.code: RefusalCode = code


@dataclass(frozen=True, slots=True)
class Reading:
    """How sqlglot reads a function: a class of node and its args, in the order of the row's arguments.

    Attributes:
        node: the exact class.
        args: names of its args; one that holds a list stands for all in it.
        fixed: args that must be so for this row, None for absent: LTRIM is a Trim whose position is LEADING.
        ignored: args that sqlglot sets by itself and that say nothing.
        negates: an arg that, where it is set, means NOT.
    """

    node: type[exp.Expr]
    args: tuple[str, ...] = ("this",)
    fixed: Mapping[str, object] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    negates: str | None = None


@dataclass(frozen=True, slots=True)
class Syntax:
    """Read by `engine.expressions` itself."""


@dataclass(frozen=True, slots=True)
class Made:
    """Stands for other expressions.

    Attributes:
        build: makes them of the arguments, or raises `Misfit`.
    """

    build: Callable[[tuple[Expr, ...]], Expr]


@dataclass(frozen=True, slots=True)
class Native:
    """Computed by the database.

    Attributes:
        build: makes the `tree.Call` (or, where it comes to that, something simpler) of the arguments.
        range_of: the interval rule: a range that holds the result for all arguments in their ranges, none of which
            is empty where the function is strict. It may raise `Misfit`.
        sql: the total form, of the texts of the arguments.
        aligned: whether exact arguments are brought to the decimal places of the result.
        strict: whether it is NULL where an argument is.
    """

    build: Callable[[tuple[Expr, ...]], Expr]
    range_of: Callable[[Call, tuple[Range, ...]], Range]
    sql: Callable[[Call, tuple[str, ...]], str]
    aligned: bool = False
    strict: bool = True


@dataclass(frozen=True, slots=True)
class Tabulated:
    """Computed in Python for each value on a public list.

    Attributes:
        value: the result for one value of each argument; None is NULL. It may raise `Misfit`.
        takes: the kinds of each argument, words of one text; the last one stands for all further ones. An `exact`
            one is a whole number.
        gives: the type of the result.
        constants: positions of the arguments that must be constants, as patterns are.
        strict: whether it is NULL where an argument is; `value` is then not asked.
        steps: about how much work `value` is, for the same arguments; it may raise `Misfit`.
    """

    value: Callable[..., Scalar]
    takes: tuple[str, ...]
    gives: Type
    constants: tuple[int, ...] = ()
    strict: bool = True
    steps: Callable[..., int] | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """What a function is worth for given constants: a line of the reference page, and a test.

    Attributes:
        text: an expression without columns.
        value: of it; None is NULL.
        own: whether it differs from DuckDB on purpose, as where DuckDB fails.
    """

    text: str
    value: Scalar
    own: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """One scalar function or operator that is accepted.

    Attributes:
        name: as it is called, unique.
        about: one sentence of what it is.
        example: an expression over columns of the canonical schema.
        shows: what it is worth for constants.
        least: fewest arguments.
        most: most arguments; None for any number.
        names: further names under which it may be called.
        nodes: how sqlglot reads it; a name that it does not know is read as any unknown function is.
    """

    name: str
    family: Family
    about: str
    example: str
    how: Syntax | Made | Native | Tabulated = field(default_factory=Syntax)
    shows: tuple[Shown, ...] = ()
    least: int = 1
    most: int | None = 1
    names: tuple[str, ...] = ()
    nodes: tuple[Reading, ...] = ()
