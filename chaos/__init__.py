"""Break Waybill, record what its clients saw, and check afterwards that every promise was kept."""
