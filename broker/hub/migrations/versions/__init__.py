"""One module a step; Alembic finds them here."""
