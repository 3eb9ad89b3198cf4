"""How tests of the API call it."""

import base64

from tests import factories


def basic(client_id: str, secret: str = factories.SECRET) -> dict[str, str]:
    """The headers of a call with HTTP Basic."""
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}
