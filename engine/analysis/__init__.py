"""What can be proved about a question from the catalog alone: bounds, contributions, cohorts.

Nothing here sees a record. Each result over-approximates: a range holds at least the values that can occur, a
contribution bound is at least what a student can contribute, a cohort is touched unless it certainly is not.
"""
