"""The embedded stack of `make up`: PostgreSQL and Valkey from wheels, and the supervisor of Waybill's processes."""
