"""Access rules: may this desk send this bulletin to that desk? One evaluator for all four who ask.

May import cedarpy, `keys` and `schemas`; reads no file but the shipped rules beside it. The sender's
node, the hub, the recipient's node and the auditor call it.
"""
