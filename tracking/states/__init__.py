"""Service states: every request as a service, its states and its tasks; and services that their owner drives."""
