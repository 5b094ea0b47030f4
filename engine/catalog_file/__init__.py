"""Reads `district.yaml` into a Catalog; a wrong one is refused with file, line and what would be accepted.

Two steps: `read_catalog` reads what the officer declares; `resolve` adds the rows of the public tables, from
which value lists and score ranges may be taken. Only a resolved catalog can answer questions.
"""

from engine.catalog_file.catalog import catalog_of, catalog_of_document, owner_source, read_catalog
from engine.catalog_file.document import columns_on, sensitive_off, sensitive_on
from engine.catalog_file.public import resolve

__all__ = [
    "catalog_of",
    "catalog_of_document",
    "columns_on",
    "owner_source",
    "read_catalog",
    "resolve",
    "sensitive_off",
    "sensitive_on",
]
