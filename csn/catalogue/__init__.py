"""Embedded catalogues: what is committed, and where."""
