"""How settings of a form of their own are judged: in a moment in which nothing of Django can be imported yet."""

import limits
from environs import ValidationError


def rate(text: str) -> None:
    """Take a number and a time, such as `600/minute` or `5/5minutes`, or nothing."""
    try:
        limits.parse_many(text or "1/minute")
    except ValueError as malformed:
        raise ValidationError(f"must be a number and a time, as in 600/minute, not {text!r}") from malformed
