"""What is said: bulletins, envelopes, statements, log entries, requests, vocabularies, limits and errors.

May import pydantic, jiter and the standard library; knows no I/O and no cryptography.
Every other room speaks in these types.
"""
