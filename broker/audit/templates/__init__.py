"""The template of a report's page, and its style."""
