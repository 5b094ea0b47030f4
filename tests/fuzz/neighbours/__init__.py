"""Neighbouring districts, made up at random: catalogs, records, questions, and what must hold of them.

A case is one question on a database and on its neighbour, which lacks one student. The real loader, planner,
compiler and backend run over both; `compare` says what must hold, `shrink` makes a failure small enough to read.
"""
