"""Training of any codec."""
