"""The engine: the ledger, and how work gets in, is carried out, and is recorded."""
