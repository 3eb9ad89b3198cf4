"""Where a back end may be: not where a machine keeps its credentials. Pure.

In: a URL's host. Out: nothing, or why not. Called by back ends' checks, when one is saved.

A cloud's metadata service answers whoever asks from the machine, with its credentials; it has a link-local address, or
one of few others. Names are not looked up: what a name means may change, and is its owner's business.
"""

import ipaddress
import socket

from django.conf import settings

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA = frozenset(
    ipaddress.ip_address(text) for text in ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
)
_METADATA_NAMES = frozenset(
    {"metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"}
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052


class Forbidden(ValueError):
    """No back end may be there."""


def check(host: str) -> None:
    """Raise Forbidden for a metadata service, a link-local address, and a private one where those are not allowed."""
    name = host.strip("[]").rstrip(".").lower()
    if name in _METADATA_NAMES:
        raise Forbidden(f"{host} is a metadata service: its answers hold credentials")
    address = _read_address(name)
    if address is None:
        return
    if address in _METADATA or address.is_link_local:
        raise Forbidden(f"{host} is link-local or a metadata service: its answers hold credentials")
    if address.is_multicast or (address.is_private and not settings.WAYBILL_PRIVATE_BACKENDS):
        raise Forbidden(f"{host} is not a public address (WAYBILL_PRIVATE_BACKENDS)")


def _read_address(name: str) -> _Address | None:
    """Return the address that a host is, in whatever notation the system's resolver takes it; None for a name."""
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        try:
            address = ipaddress.IPv4Address(socket.inet_aton(name))  # 2852039166, 0xa9.254.43518 and the like
        except OSError:
            return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
