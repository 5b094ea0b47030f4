"""OneRoster 1.1 and 1.2 (CSV) → the canonical tables, and a first catalog drafted from a bundle's public files.

The rooms, in the order in which a load passes them: `bundle` (folder or zip), `manifest`, `opening` (which files),
`reading` (rows into `raw_` tables), `public` (years, schools, classes), `people` (who is one person), `supplements`,
`roster`, `marks` (the tables), `canonical` (the catalog's columns). `layout` names all that is ever read.
"""

from engine.intake.oneroster.bundle import is_bundle
from engine.intake.oneroster.draft import drafted_catalog
from engine.intake.oneroster.sources import OneRoster

__all__ = ["OneRoster", "drafted_catalog", "is_bundle"]
