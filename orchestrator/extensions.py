"""What an application adds to a service, a state or a task: values of any JSON, by names that know no case. Pure.

In: an object of JSON text, names, values. Out: the object with values replaced, or those that were asked for.
Called by flows, which writes them, and by the states window, which answers them.
"""

from collections.abc import Iterable, Mapping

import msgspec

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


def replace(kept: str, given: Mapping[str, msgspec.Raw]) -> str:
    """Return the object with the given values, each in place of the whole value that had its name in any case."""
    if not given:
        return kept
    values = {name.casefold(): (name, value) for name, value in _OBJECT.decode(kept).items()}
    values |= {name.casefold(): (name, value) for name, value in given.items()}
    return msgspec.json.encode(dict(values.values())).decode()


def choose(kept: str | None, wanted: Iterable[str]) -> dict[str, msgspec.Raw]:
    """Return those of the wanted names, spelt as they were given."""
    names = {name.casefold() for name in wanted}
    if not kept or not names:
        return {}
    return {name: value for name, value in _OBJECT.decode(kept).items() if name.casefold() in names}
