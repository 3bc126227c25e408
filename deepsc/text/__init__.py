"""Text: sentences, translated or reconstructed."""
