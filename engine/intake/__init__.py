"""Sources to vault: OneRoster, Ed-Fi, plain files and the invented demo district.

Records come in here and are checked against the catalog; nothing of the way of a query comes in.
"""
