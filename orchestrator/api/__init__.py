"""What every door and window shares, and the engine's own endpoints: tokens, health, schema."""
