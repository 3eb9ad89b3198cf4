"""Payloads and results at rest: unreadable in the database, readable to handlers and clients, under changing keys."""

import uuid
from base64 import b64encode
from collections.abc import Callable
from io import StringIO
from typing import Any

import orjson
import pytest
from django.core.management import CommandError, call_command

from orchestrator import accounts, payloads
from orchestrator.lifecycle import FailureKind, Status
from orchestrator.models import Message
from orchestrator.payloads import Part
from tests import engine, factories
from tests.acceptance import hardship
from tests.processes import WorkerProcess
from tests.waiting import eventually

FIRST, SECOND = b"1" * 32, b"2" * 32
ID, OTHER = uuid.uuid4(), uuid.uuid4()


def use(settings: Any, key_id: str, **keys: bytes) -> None:
    settings.WAYBILL_PAYLOAD_KEYS = keys
    settings.WAYBILL_PAYLOAD_KEY_ID = key_id


def environment(key_id: str, **keys: bytes) -> dict[str, str]:
    listed = ",".join(f"{name}={b64encode(key).decode()}" for name, key in keys.items())
    return {"WAYBILL_PAYLOAD_KEYS": listed, "WAYBILL_PAYLOAD_KEY_ID": key_id}


def kept() -> list[tuple[str, str | None, str | None]]:
    return list(Message.objects.order_by("number").values_list("payload", "result", "payload_key_id"))


# ---------------------------------------------------------------- one text


@pytest.mark.parametrize("text", ["{}", '{"a":"ö🚚"}', "null", '"sealed:k1:x"'])
def test_what_is_sealed_is_revealed(settings: Any, text: str) -> None:
    use(settings, "k1", k1=FIRST)

    sealed = payloads.seal(text, message_id=ID, part=Part.PAYLOAD)

    assert sealed.startswith("sealed:k1:")
    assert payloads.reveal(sealed, message_id=ID, part=Part.PAYLOAD) == text
    assert sealed != payloads.seal(text, message_id=ID, part=Part.PAYLOAD)


def test_without_a_key_a_text_stays_as_it_is(settings: Any) -> None:
    use(settings, "")

    assert payloads.seal("{}", message_id=ID, part=Part.PAYLOAD) == "{}"
    assert payloads.reveal("{}", message_id=ID, part=Part.RESULT) == "{}"


def test_an_older_key_still_reads_and_the_current_one_writes(settings: Any) -> None:
    use(settings, "k1", k1=FIRST)
    old = payloads.seal("{}", message_id=ID, part=Part.RESULT)
    use(settings, "k2", k1=FIRST, k2=SECOND)

    assert payloads.reveal(old, message_id=ID, part=Part.RESULT) == "{}"
    assert payloads.seal("{}", message_id=ID, part=Part.RESULT).startswith("sealed:k2:")


def test_a_text_that_was_changed_or_moved_is_refused(settings: Any) -> None:
    use(settings, "k1", k1=FIRST)
    sealed = payloads.seal('{"a":1}', message_id=ID, part=Part.PAYLOAD)
    middle = len(sealed) - 10
    changed = f"{sealed[:middle]}{'A' if sealed[middle] != 'A' else 'B'}{sealed[middle + 1 :]}"
    use(settings, "k1", k1=FIRST, k2=FIRST)

    for text, message_id, part in [
        (changed, ID, Part.PAYLOAD),
        (sealed, OTHER, Part.PAYLOAD),
        (sealed, ID, Part.RESULT),
        (sealed.replace("k1", "k3"), ID, Part.PAYLOAD),
        ("sealed:k1:", ID, Part.PAYLOAD),
        ("sealed:k1:%%", ID, Part.PAYLOAD),
        ("sealed:", ID, Part.PAYLOAD),
    ]:
        with pytest.raises(payloads.Unreadable):
            payloads.reveal(text, message_id=message_id, part=part)


# ---------------------------------------------------------------- the ledger


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("count", [1, 300])  # by one statement, and by COPY
def test_the_ledger_holds_neither_payload_nor_result_in_clear(
    settings: Any, worker_process: Callable[..., WorkerProcess], count: int
) -> None:
    use(settings, "k1", k1=FIRST)

    request_id = hardship.submit(factories.make_account(), ["Echo"] * count)
    worker_process(**environment("k1", k1=FIRST))
    books = hardship.close_books()

    assert books.by_status == {Status.COMPLETE: count}
    for payload, result, key in kept():
        assert (payload[:10], (result or "")[:10], key) == ("sealed:k1:", "sealed:k1:", "k1")
    for message in Message.objects.filter(request_id=request_id):
        shown = payloads.reveal(message.result or "", message_id=message.id, part=Part.RESULT)
        assert orjson.loads(shown) == {"n": message.number}


@pytest.mark.django_db(transaction=True)
def test_a_worker_without_the_key_leaves_the_message_to_one_that_has_it(
    settings: Any, worker_process: Callable[..., WorkerProcess]
) -> None:
    use(settings, "k2", k1=FIRST, k2=SECOND)
    hardship.submit(factories.make_account(), ["Echo"])
    behind = worker_process(**environment("k1", k1=FIRST))
    eventually(lambda: Message.objects.filter(available_at__isnull=False).exists(), what="a give-back for later")
    behind.stop()

    worker_process(**environment("k2", k1=FIRST, k2=SECOND))
    books = hardship.close_books()

    assert books.by_status == {Status.COMPLETE: 1}
    assert (books.attempts, books.losses) == ({1: 1}, {0: 1})


@pytest.mark.django_db(transaction=True)
def test_a_message_whose_text_was_tampered_with_fails_and_harms_nobody_else(
    settings: Any, worker_process: Callable[..., WorkerProcess]
) -> None:
    use(settings, "k1", k1=FIRST)
    settings.WAYBILL_RETRY_ATTEMPTS = 1
    hardship.submit(factories.make_account(), ["Echo", "Echo"])
    first, second = Message.objects.order_by("number")
    Message.objects.filter(pk=first.pk).update(payload=second.payload)

    worker_process(**environment("k1", k1=FIRST), WAYBILL_RETRY_ATTEMPTS="1")
    hardship.close_books()

    outcomes = Message.objects.order_by("number").values_list("status", "failure_kind")
    assert list(outcomes) == [(Status.FAILED, FailureKind.INTERNAL), (Status.COMPLETE, None)]


# ---------------------------------------------------------------- new keys, old texts


def reseal() -> list[str]:
    out = StringIO()
    call_command("reseal", stdout=out)
    return out.getvalue().splitlines()


def work_off(account: accounts.Account, count: int) -> None:
    """Messages with results, carried out in this process."""
    engine.hand_in(client_id=account.id, message_type="Echo", payloads=[{"n": n} for n in range(count)])
    for message in Message.objects.filter(status=Status.QUEUED):
        text = payloads.seal('{"ok":true}', message_id=message.id, part=Part.RESULT)
        Message.objects.filter(pk=message.pk).update(
            status=Status.COMPLETE, processed_at=message.received_at, result=text
        )


@pytest.mark.django_db
def test_everything_final_comes_under_the_new_key_and_the_old_one_may_go(settings: Any) -> None:
    account = factories.make_account()
    use(settings, "")
    work_off(account, 3)
    use(settings, "k1", k1=FIRST)
    work_off(account, 3)

    use(settings, "k2", k1=FIRST, k2=SECOND)
    said = reseal()
    again = reseal()
    use(settings, "k2", k2=SECOND)

    assert (said, again) == (["resealed: 6 messages, with key k2"], ["resealed: 0 messages, with key k2"])
    for message in Message.objects.all():
        assert message.payload_key_id == "k2"
        assert orjson.loads(payloads.reveal(message.payload, message_id=message.id, part=Part.PAYLOAD))["n"] in range(3)
        assert payloads.reveal(message.result or "", message_id=message.id, part=Part.RESULT) == '{"ok":true}'


@pytest.mark.django_db
def test_encryption_can_be_ended(settings: Any) -> None:
    use(settings, "k1", k1=FIRST)
    work_off(factories.make_account(), 2)
    use(settings, "", k1=FIRST)

    said = reseal()

    assert said == ["resealed: 2 messages, with key none: they are plain now"]
    assert {(result, key) for _, result, key in kept()} == {('{"ok":true}', None)}


@pytest.mark.django_db
@pytest.mark.parametrize("writes", ["", "k1"])
def test_a_result_under_another_key_than_its_payload_comes_along(settings: Any, writes: str) -> None:
    keys = {"k1": FIRST, "k2": SECOND}
    use(settings, "k2", **keys)
    engine.hand_in(client_id=factories.make_account().id, message_type="Echo", payloads=[{}])
    message = Message.objects.get()
    use(settings, writes, **keys)  # a worker that is still told so ends it
    result = payloads.seal('{"ok":true}', message_id=message.id, part=Part.RESULT)
    Message.objects.update(status=Status.COMPLETE, processed_at=message.received_at, result=result)
    use(settings, "k2", **keys)

    said = reseal()

    message.refresh_from_db()
    assert said == ["resealed: 1 message, with key k2"]
    assert (message.result or "").startswith("sealed:k2:")


@pytest.mark.django_db
def test_what_is_open_is_left_and_named(settings: Any) -> None:
    use(settings, "")
    engine.hand_in(client_id=factories.make_account().id, message_type="Echo", payloads=[{}, {}])
    before = kept()
    use(settings, "k1", k1=FIRST)

    said = reseal()

    assert said[1:] == ["2 open messages are under another key: run this again when they are final"]
    assert kept() == before


@pytest.mark.django_db
def test_a_text_that_cannot_be_read_stops_it_before_anything_is_lost(settings: Any) -> None:
    use(settings, "k1", k1=FIRST)
    work_off(factories.make_account(), 2)
    use(settings, "k2", k2=SECOND)
    before = kept()

    with pytest.raises(CommandError, match="WAYBILL_PAYLOAD_KEYS"):
        reseal()

    assert kept() == before
