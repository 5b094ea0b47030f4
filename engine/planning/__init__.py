"""Query → Plan."""

from engine.planning.planner import CELLS_MAX, make_plan
from engine.planning.proofs import JOINED_ROWS_MAX

__all__ = ["CELLS_MAX", "JOINED_ROWS_MAX", "make_plan"]
