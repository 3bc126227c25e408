"""What every codec has: base class, config, checkpoint, device."""
