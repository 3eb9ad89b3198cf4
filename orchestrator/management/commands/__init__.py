"""`manage.py client`, `backend` and `submit`."""
