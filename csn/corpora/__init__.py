"""Readers of corpora in their own layouts, and a corpus of our own making."""
