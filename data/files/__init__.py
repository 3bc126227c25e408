"""Files: written whole, read with care, locked, and said where they come from."""
