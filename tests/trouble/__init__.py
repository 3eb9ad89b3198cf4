"""An app whose handlers bring bad luck: workers in tests know it by `WAYBILL_APPS=tests.company,tests.trouble`."""
