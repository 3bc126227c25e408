"""Images: classified or retrieved."""
