"""Rows of a CSV file become messages, as a mapping says; docs/guides/mapping.md teaches the language."""
