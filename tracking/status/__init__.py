"""The request status family: `GET /api/v3/global/call/{id}` (and v2), and its doors, the regular and the bulk call."""
