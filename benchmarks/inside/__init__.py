"""What runs within Waybill's own settings, as a process of its own: JSON in, JSON out."""

CLAIM = 500
"""How many messages are claimed at once."""
