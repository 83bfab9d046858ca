"""The outbox: from a bulletin handed in to every recipient's answer, surviving a kill at any instant.

May import the node's shared rooms and all lower floors, never `inbox` or `api`; `node.sync` drives it.
The states and the steps between them are in `state`, and nothing moves but by that table.
"""
