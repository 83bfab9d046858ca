"""Alembic's entry: the connection and its transaction belong to `broker.db.migrate`."""

from broker.db import run_migrations
from broker.node.tables import metadata

run_migrations(metadata)
