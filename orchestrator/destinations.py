"""Where a back end may be: at a host that can be one, and not where a machine keeps its credentials. Pure.

In: a URL's host. Out: nothing, or why not. Called by back ends' checks, when one is saved.

A cloud's metadata service answers whoever asks from the machine, with its credentials; it has a link-local address, or
one of few others. Names are not looked up: what a name means may change, and is its owner's business.
"""

import ipaddress
import re
import socket

from django.conf import settings

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
)
_METADATA_NAMES = frozenset(
    {"metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"}
)
# IPv6 addresses whose last 32 bits are an IPv4 address, which is where a packet to them may end.
_ENDS_WITH_IPV4 = (
    ipaddress.ip_network("::/96"),  # compatible, RFC 4291 §2.5.5.1
    ipaddress.ip_network("::ffff:0:0:0/96"),  # translated, RFC 2765
    ipaddress.ip_network("64:ff9b::/96"),  # NAT64, RFC 6052
    ipaddress.ip_network("64:ff9b:1::/48"),  # NAT64 of a site's own, RFC 8215
)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")  # RFC 1123 §2.1, and the underscore of containers' names
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LONGEST_NAME = 253


class Forbidden(ValueError):
    """No back end may be there."""


class NoHost(ValueError):
    """That is neither a name nor an address."""


def check(host: str) -> None:
    """Raise NoHost for what can't be called; Forbidden for metadata, link-local, and private where not allowed."""
    name = host.removeprefix("[").removesuffix("]").removesuffix(".").lower()
    if name in _METADATA_NAMES:
        raise Forbidden(f"{host} is a metadata service: its answers hold credentials")
    address = _read_ipv6(name) if ":" in name else _read_ipv4(name)
    for reading in _readings(address) if address else ():
        _check_address(reading, host)


def _check_address(address: _Address, host: str) -> None:
    if address in _METADATA or address.is_link_local:
        raise Forbidden(f"{host} is link-local or a metadata service: its answers hold credentials")
    if address.is_multicast or (address.is_private and not settings.WAYBILL_PRIVATE_BACKENDS):
        raise Forbidden(f"{host} is not a public address (WAYBILL_PRIVATE_BACKENDS)")


def _read_ipv6(name: str) -> ipaddress.IPv6Address:
    try:
        return ipaddress.IPv6Address(name.partition("%")[0])
    except ValueError as malformed:
        raise NoHost(f"{name} is no address") from malformed


def _read_ipv4(name: str) -> ipaddress.IPv4Address | None:
    """Return the address a host is, as the system's resolver takes it (2852039166, 0xa9.254.43518); None: a name."""
    labels = name.split(".")
    if len(name) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise NoHost(f"{name} is no host: a name has letters, digits, - and _ between its dots")
    if not _NUMBER.fullmatch(labels[-1]):
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(name))
    except OSError as malformed:
        raise NoHost(f"{name} is no address") from malformed


def _readings(address: _Address) -> list[_Address]:
    """Return the address, and those that lie within it."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    within = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _ENDS_WITH_IPV4):
        within.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [address, *(found for found in within if found)]
