"""The engine's commands, and what they share."""
