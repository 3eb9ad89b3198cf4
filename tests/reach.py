"""Whether PostgreSQL's user can run the binaries where they are installed.

With the checkout under /root, say, it can't: then data and a copy of the binaries live elsewhere, and what a test says
about the files of a home doesn't hold.
"""

from pathlib import Path

import pytest

from config.embedded import postgres


def _is_within_reach() -> bool:
    user = postgres._server_user(Path("/nowhere"))
    return user is None or postgres._runs(user, postgres._wheel() / "pginstall")


within_reach = pytest.mark.skipif(not _is_within_reach(), reason="PostgreSQL's user can't reach this checkout")
