"""Where a call comes from: the connection's address, and what trusted proxies say of it. Pure.

In: a request's headers as Django keeps them. Out: an IP address. Called by the audit log and whoever counts by address.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from django.conf import settings

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def find_address(meta: Mapping[str, Any]) -> str | None:
    """Return the address that a request came from, None if nobody knows (a socket file).

    `X-Forwarded-For` counts only as far as proxies of WAYBILL_TRUSTED_PROXIES wrote it, from its right end: anybody can
    send the header, but nobody can stand to the right of the address that our own proxy saw.
    """
    trusted = _parse_networks(tuple(settings.WAYBILL_TRUSTED_PROXIES))
    seen = _parse(str(meta.get("REMOTE_ADDR") or ""))
    forwarded = [_parse(text) for text in str(meta.get("HTTP_X_FORWARDED_FOR") or "").split(",")]
    while seen is not None and forwarded and any(seen in network for network in trusted):
        before = forwarded.pop()
        if before is None:
            break
        seen = before
    return None if seen is None else str(seen)


def _parse(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=8)
def _parse_networks(texts: Iterable[str]) -> tuple[_Network, ...]:
    return tuple(ipaddress.ip_network(text.strip(), strict=False) for text in texts if text.strip())
