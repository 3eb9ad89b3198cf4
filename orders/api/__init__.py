"""The family of orders, order events and accesses: `/api/2.3.1/…`."""
