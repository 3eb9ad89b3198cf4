"""The web process's pool of database connections, after a bad experience.

In: a database error. Out: a pool without connections of before, if the error says that the server ended one.
Called by `api/window.py` and `health.py`: after a restart of PostgreSQL one call fails, instead of one a connection.
"""

from django.db import InterfaceError, OperationalError, connection
from psycopg_pool import PoolTimeout

from orchestrator.database_errors import sqlstate

_ENDED_BY_THE_SERVER = ("08", "57P")


def renew_after(failure: Exception) -> None:
    """Replace the pool's idle connections unless the failure had another cause, such as a statement too long."""
    pool = getattr(connection, "pool", None)
    if pool is None or not isinstance(failure, OperationalError | InterfaceError):
        return
    if isinstance(failure.__cause__, PoolTimeout):
        return
    state = sqlstate(failure)
    if state is None or state.startswith(_ENDED_BY_THE_SERVER):
        pool.drain()
