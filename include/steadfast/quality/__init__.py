"""Checks on landed rows: what must hold before a partition replaces what the dashboard shows."""
