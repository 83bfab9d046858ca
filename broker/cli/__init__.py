"""The one command `barid`: each module here is a group of its subcommands.

May import everything below; nothing imports it. Heavy rooms are imported within the command that needs
them, so that `barid --help` answers at once.
"""
