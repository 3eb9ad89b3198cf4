"""National insurance numbers, the subjects of this family's paths. Pure."""

import re

_FORM = re.compile(r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]")
_NEVER_GIVEN = ("BG", "GB", "NK", "KN", "TN", "NT", "ZZ")
_WITHOUT_SUFFIX = 8


def read(text: str) -> str | None:
    """Return the number without its spaces, None if the text is none."""
    if not _FORM.fullmatch(text) or text.startswith(_NEVER_GIVEN):
        return None
    return text.replace(" ", "")


def is_same(one: str, other: str) -> bool:
    """Tell whether two numbers mean the same person: the suffix does not count."""
    return one[:_WITHOUT_SUFFIX] == other[:_WITHOUT_SUFFIX]
