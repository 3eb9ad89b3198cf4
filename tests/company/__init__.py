"""A company's own app with a handler of each kind, as `WAYBILL_APPS=tests.company` would name it."""
