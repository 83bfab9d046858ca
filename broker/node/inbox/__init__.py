"""The inbox: envelopes fetched, verified, opened, stored once, and only then acknowledged.

May import the node's shared rooms and all lower floors, never `outbox` or `api`; `node.sync` drives it. The
order of verification is `receive`, the one place that calls `keys.sealing.open_slot`.
"""
