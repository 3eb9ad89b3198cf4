"""Find the messages whose external reference is held: what `duplicatePolicy: reject` makes Invalid.

In: a client, and the references of a submission. Out: the problems of those that are held.
Called by drafting, within intake's transaction.
"""

from collections.abc import Mapping

from orchestrator import storing


def find(*, client_id: int, references: Mapping[int, tuple[str, str]]) -> dict[int, list[str]]:
    """Return what is wrong, by index, with each (type, reference) that the ledger or an earlier index holds.

    The race: two submissions with one reference, each of which finds it free. The client's lock lets them look one
    after the other, and the second sees what the first has committed: one wins.
    """
    storing.lock_references(client_id=client_id)
    held = storing.find_held(client_id=client_id, references=references.values())
    problems = {}
    for index, (message_type, reference) in references.items():
        if (message_type, reference) in held:
            problems[index] = [f"Another {message_type} message has this external reference already"]
        held.add((message_type, reference))
    return problems
