"""The Gateway: submitting requests, reading and cancelling them, and the tracking search."""
