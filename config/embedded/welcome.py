"""What `make up` prints when the stack is ready: where things are, and three commands to try."""

from pathlib import Path

from config.embedded import parts

_TEXT = """\
Waybill is ready (Ctrl-C stops it)

  REST            {base}/api/v1/requests
  OpenAPI         {base}/api/docs
  admin           {base}/admin/
  health          {base}/readyz
  logs            {home}/logs
"""
_TRY = """
Try ({administrator} / {secret} opens the admin):

  curl -u {client}:{secret} -H 'Content-Type: application/json' -H 'Prefer: return=representation' \\
    {base}/api/v1/requests \\
    -d '{{"batchReference": "first", "payload": [
         {{"messageType": "Echo", "externalReference": "1", "hello": "world"}}]}}'

  curl -u {client}:{secret} -H 'Content-Type: application/json' {base}/api/v1/requests \\
    -d '{{"batchReference": "second", "payload": [{{"messageType": "Vehicle", "externalReference": "2",
         "sandbox": {{"delay": 1, "status": 503, "times": 2}}}}]}}'

  curl -u {client}:{secret} -H 'Content-Type: application/json' {base}/api/v1/tracking \\
    -d '{{"search": [{{"by": "externalReference", "value": "second"}}]}}'
"""


def text(*, port: int, home: Path, demo: bool) -> str:
    """Return the text; the commands to try only where there is a demo client to try them with."""
    base = f"http://127.0.0.1:{port}"
    shown = _TEXT + (_TRY if demo else "")
    return shown.format(
        base=base, home=home, client=parts.DEMO_CLIENT, secret=parts.DEMO_SECRET, administrator=parts.DEMO_ADMIN
    )
