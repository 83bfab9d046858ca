"""The auditor: it downloads both logs, checks all of them without trusting the hub, and says what is wrong.

May import every lower floor of `broker`, never `hub` or `node`; only the command line starts it.
`verify.verify_exchange` holds the numbered plan, `rules.RULES` every rule that a finding can name.
"""
