"""`barid demo`: an exchange of nine states, told as a story in which every step is checked.

May import `broker.cli`; `main` adds the command, `make demo` runs it. `story` has the chapters in order,
`stage` what they act on, `world` the directories and commands, `processes` runs them.
"""
