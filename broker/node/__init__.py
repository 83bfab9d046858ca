"""A member's node: it holds its desks' keys, signs, seals, queues, fetches, verifies and opens.

May import every lower floor of `broker`, never `hub` or `audit`; only the command line starts it.
The outbox states are in `state`, the verification plan in `receive`, the loop in `sync`.
"""
