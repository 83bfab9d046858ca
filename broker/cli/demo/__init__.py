"""`barid demo`: the first exchange, told as a story in which every step is checked.

May import `broker.cli`; `main` adds the command, `make demo` runs it. `story` tells, `world` holds the
directories and commands, `processes` runs them.
"""
