"""Where exact integers are computed: one adapter for each database that may hold the records."""
