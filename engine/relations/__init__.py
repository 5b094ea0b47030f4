"""FROM → Relation: what a question is asked of."""

from engine.relations.base import SCANS_MAX, TABLES_MAX
from engine.relations.ctes import Cte, alias_of, all_used, ctes_of
from engine.relations.reading import Read, read

__all__ = ["SCANS_MAX", "TABLES_MAX", "Cte", "Read", "alias_of", "all_used", "ctes_of", "read"]
