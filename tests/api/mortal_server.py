"""`mortal_server.py FILE serve …`: the server, whose workers write down each draw before they make it.

A line of the file is `ENTRY NTH`: of which charge, and which draw of its. Workers import this file again when they
start, and so write, too.
"""

from __future__ import annotations

import os
import sys
import threading

from api.cli import main
from budgets.ledger import Ledger
from engine import mechanisms

VARIABLE = "MORTAL_DRAWN"

_drawing = threading.local()
_start, _draw = Ledger.start_drawing, mechanisms.draw


def start_drawing(ledger, entry_id):
    """As the ledger says; this thread remembers for which charge it may draw."""
    begun = _start(ledger, entry_id)
    _drawing.entry, _drawing.nth = (entry_id, 0) if begun else (None, 0)
    return begun


def draw(values, noise, limit):
    """One write: it is whole in the file, or not there."""
    descriptor = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, f"{_drawing.entry} {_drawing.nth}\n".encode())
    os.close(descriptor)
    _drawing.nth += 1
    return _draw(values, noise, limit)


Ledger.start_drawing, mechanisms.draw = start_drawing, draw

if __name__ == "__main__":
    os.environ[VARIABLE] = sys.argv.pop(1)
    main()
