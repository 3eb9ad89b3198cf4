"""How many of what, in words for people. Pure.

In: a number and a noun. Out: "1 message", "2 messages". Called by the desk and the commands.
"""


def tell(number: int, noun: str) -> str:
    """Say how many of what; the noun is one whose plural ends in s."""
    return f"{number} {noun if number == 1 else f'{noun}s'}"
