"""Numbered steps of the schema, `NNNN_name.sql`: a step is only ever added, never changed."""
