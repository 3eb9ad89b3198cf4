"""The least that Django can do, on Waybill's own server: one view, one row by key."""
