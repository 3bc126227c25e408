"""Questions about images: answered."""
