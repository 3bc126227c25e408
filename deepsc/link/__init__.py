"""One transmission: JSC encoder, channel, JSC decoder."""
