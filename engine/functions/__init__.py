"""Every scalar function and operator that is accepted: one table with its meaning, interval rule and total form.

What is not in the table is refused by name. A row never works on a text of a record, never fails, and neither its
size nor its time is driven by a value.
"""

from engine.functions.shape import Function, Made, Misfit, Native, Reading, Shown, Syntax, Tabulated
from engine.functions.table import BY_NAME, BY_NODE, FUNCTIONS, NATIVE

__all__ = [
    "BY_NAME",
    "BY_NODE",
    "FUNCTIONS",
    "NATIVE",
    "Function",
    "Made",
    "Misfit",
    "Native",
    "Reading",
    "Shown",
    "Syntax",
    "Tabulated",
]
