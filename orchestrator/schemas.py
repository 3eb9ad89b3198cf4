"""What a message's own fields must look like.

In: a pydantic model or a JSON Schema, and the fields as JSON text. Out: the problems, as texts for the client.
Called by drafting before a message is stored; held by the message types.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import jsonschema_rs
import msgspec
import pydantic

MAX_PROBLEMS = 20
"""Problems told a message: one that has thousands is not repaired by reading them all."""


def parse(text: str) -> Any:
    """Turn JSON text into Python values; integers are exact, however long."""
    return msgspec.json.decode(text)


@dataclass(frozen=True, slots=True)
class PayloadSchema:
    """The shape of one type's own fields. `find` lists what is wrong with a JSON text."""

    find: Callable[[str], Iterable[str]]

    def problems(self, payload: str) -> list[str]:
        """Return what is wrong with the fields, at most MAX_PROBLEMS texts; [] when they fit."""
        return list(islice(self.find(payload), MAX_PROBLEMS))


def from_json_schema(document: Mapping[str, Any]) -> PayloadSchema:
    """Make a schema of a JSON Schema document; ValueError when it is none. It can't refer to other addresses."""
    jsonschema_rs.validator_for(dict(document), offline=True)  # what is wrong with the document, unmasked
    validator = jsonschema_rs.validator_for(dict(document), offline=True, mask="value")

    def find(payload: str) -> Iterable[str]:
        fields = parse(payload)
        if not validator.is_valid(fields):
            for error in validator.iter_errors(fields):
                yield _problem(error.instance_path, error.message)

    return PayloadSchema(find)


def from_model(model: type[pydantic.BaseModel]) -> PayloadSchema:
    """Make a schema of a pydantic model."""

    def find(payload: str) -> Iterable[str]:
        try:
            model.model_validate_json(payload)
        except pydantic.ValidationError as invalid:
            for error in invalid.errors(include_url=False, include_context=False, include_input=False):
                yield _problem(error["loc"], error["msg"])

    return PayloadSchema(find)


def _problem(path: Iterable[str | int], text: str) -> str:
    where = ".".join(map(str, path))
    return f"{where}: {text}" if where else text
