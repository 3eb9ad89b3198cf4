"""The throwaway servers that the suite itself stands on."""

import os

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection


@pytest.mark.django_db
def test_a_run_has_its_own_postgresql_18_in_utf8() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int, current_setting('server_encoding')")
        version, encoding = cursor.fetchone()

    assert version // 10_000 == 18
    assert encoding == "UTF8"


def test_a_run_has_its_own_cache_and_broker() -> None:
    cache.set("word", "kept", 5)

    assert cache.get("word") == "kept"
    assert settings.CACHE_URL != settings.BROKER_URL
    assert os.environ["BROKER_URL"] == settings.BROKER_URL
