"""Sentence pairs and tokenizers."""
