"""The relay: it verifies, applies the access rules, stores ciphertext, and writes both logs.

May import every lower floor of `broker`, never `node` or `audit`; only the command line starts it.
The access decision is asked in `relay`, and the commit point is `ledger.Ledger.commit`.
"""
