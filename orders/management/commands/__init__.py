"""`manage.py access`."""
