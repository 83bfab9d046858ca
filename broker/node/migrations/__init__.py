"""The node's schema, step by step; `broker.db.migrate` runs it at start."""
