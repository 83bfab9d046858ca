"""The hub's schema, step by step; `broker.db.migrate` runs it at start."""
