"""Questions about images, with their answers."""
