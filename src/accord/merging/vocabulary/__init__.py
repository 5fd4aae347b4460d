"""Vocabularies: which tokens there are, and which row of an embedding is whose. Nothing here tokenizes."""

from accord.merging.vocabulary.read import Words, read_words

__all__ = ["Words", "read_words"]
