"""The same work through Waybill, through what people would use instead, and by hand: ratios, not promises."""
