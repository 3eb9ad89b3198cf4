"""Where a back end may be: never at a metadata service, however its address is written."""

import pytest
from django.test import override_settings

from orchestrator import destinations


@pytest.mark.parametrize(
    "host",
    [
        *("parcels", "parcels.example.org", "127.0.0.1", "10.0.0.7", "[::1]", "192.0.2.1", "localhost", "Parcels."),
        *("my_service", "a-b.c1", "3com.example", "xn--bcher-kva.example", "[2001:db8::1]", "[::ffff:192.0.2.1]"),
        *("2130706433", "0x7f.1", "x" * 63),
    ],
)
def test_a_back_end_may_be_anywhere_else(host: str) -> None:
    destinations.check(host)


@pytest.mark.parametrize(
    "host",
    [
        *("169.254.169.254", "169.254.0.1", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"),
        *("[fe80::1]", "[fe80::1%eth0]", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[fd00:ec2::254]"),
        *("[::169.254.169.254]", "[::a9fe:a9fe]", "[::ffff:a9fe:a9fe]", "[::FFFF:A9FE:A9FE]"),
        *("[0:0:0:0:0:ffff:a9fe:a9fe]", "[::ffff:0:169.254.169.254]", "[64:ff9b::169.254.169.254]"),
        *("[64:ff9b:1::a9fe:a9fe]", "[2002:a9fe:a9fe::1]", "[fd20:ce::254]", "169.254.169.254.", "0xA9.0376.43518"),
        *("169.0xfea9fe", "025177524776", "[::100.100.100.200]", "[fe80::a9fe:a9fe]", "metadata"),
        *("100.100.100.200", "168.63.129.16", "metadata.google.internal", "Metadata.Google.Internal.", "224.0.0.1"),
    ],
)
def test_a_metadata_service_is_refused_in_every_notation(host: str) -> None:
    with pytest.raises(destinations.Forbidden):
        destinations.check(host)


@pytest.mark.parametrize(
    "host",
    [
        *("x..y", "-", "a-.b", "-a.b", ".", "..", "x..", "", "a b", "%20", "a,b", "a'b", "*", "h!", "x" * 64),
        *("a." * 126 + "xx", "1.2.3.4.5", "1.2.3.256", "4294967296", "0x", "a.1", "08.1.1.1", "[1::2::3]", "[a:b]"),
        *("[::ffff:1.2.3.256]", "169.254.169.254%eth0", "\N{FULLWIDTH DIGIT ONE}"),
    ],
)
def test_what_can_be_no_host_is_refused(host: str) -> None:
    with pytest.raises(destinations.NoHost):
        destinations.check(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.7", "[::1]", "[fd00::1]", "[::ffff:10.0.0.7]", "[::127.0.0.1]"])
def test_private_addresses_can_be_forbidden(host: str) -> None:
    with override_settings(WAYBILL_PRIVATE_BACKENDS=False), pytest.raises(destinations.Forbidden):
        destinations.check(host)
