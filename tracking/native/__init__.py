"""Startup and poll: `/native-app/{nino}/startup`, `/native-app/{nino}/poll`, `/native-app/preflight-check`."""
