"""The business's commands."""
