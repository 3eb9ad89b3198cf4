"""Request status, v3 and v2: `GET /api/v3/global/call/{id}`."""
