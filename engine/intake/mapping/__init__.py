"""Files of any shape to tables of a catalog, as a declared mapping says.

What a mapping says is read from its own file and from headers; rows come in through `engine.intake.kinds`, cells are
cleaned by `engine.intake.cleaning`, and no rule here sees the rows of two students at once.
"""

from engine.intake.mapping.draft import draft
from engine.intake.mapping.mapped import Mapped

__all__ = ["Mapped", "draft"]
