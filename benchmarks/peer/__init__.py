"""The peer: what a good engineer would write with Celery and Django alone. One row a job, two updates a task."""
