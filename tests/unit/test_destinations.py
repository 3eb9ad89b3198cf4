"""Where a back end may be: never at a metadata service, however its address is written."""

import pytest
from django.test import override_settings

from orchestrator import destinations


@pytest.mark.parametrize(
    "host", ["parcels", "parcels.example.org", "127.0.0.1", "10.0.0.7", "[::1]", "192.0.2.1", "localhost"]
)
def test_a_back_end_may_be_anywhere_else(host: str) -> None:
    destinations.check(host)


@pytest.mark.parametrize(
    "host",
    [
        *("169.254.169.254", "169.254.0.1", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"),
        *("[fe80::1]", "[fe80::1%eth0]", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[fd00:ec2::254]"),
        *("100.100.100.200", "168.63.129.16", "metadata.google.internal", "Metadata.Google.Internal.", "224.0.0.1"),
    ],
)
def test_a_metadata_service_is_refused_in_every_notation(host: str) -> None:
    with pytest.raises(destinations.Forbidden):
        destinations.check(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.7", "[::1]", "[fd00::1]"])
def test_private_addresses_can_be_forbidden(host: str) -> None:
    with override_settings(WAYBILL_PRIVATE_BACKENDS=False), pytest.raises(destinations.Forbidden):
        destinations.check(host)
