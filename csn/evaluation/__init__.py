"""Scores of stored embeddings; nothing here knows a model."""
