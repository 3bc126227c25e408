"""What a person sees of a command: errors, progress, tables."""
