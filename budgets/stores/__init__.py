"""Where the ledger is kept: connections, transactions, numbered migrations, and all SQL text of this package.

No decision is made here; the rules stand in the ledger, and the database refuses what breaks them.
"""
