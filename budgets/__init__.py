"""What each cohort of students may lose, and what it has lost.

This package knows no SQL text of a researcher, no noise mechanism and no HTTP. It counts privacy loss in
whole numbers, decides whether a question can be paid, and remembers every payment for ever.
"""
