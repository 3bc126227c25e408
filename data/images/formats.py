"""Image files that are read; no library here, so that a command that asks for it starts quickly."""

# Pillow goes by the content, and hands some formats to other programs: only these are let in.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "PPM")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".pgm", ".pbm", ".pnm")
"""Of the names of such files, in lower case."""
