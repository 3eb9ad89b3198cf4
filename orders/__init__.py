"""Orders of services on accesses: a business on the engine."""
