"""Connections that ask less: not at every request if they are there, and for no schema in which they are already.

A server that has ended a connection, or has a message on it, has written to its socket: then it is asked. A connection
whose user was interrupted, by a time limit for one, is in the middle of something, and of no use to who comes next.
"""

import select

from django_tenants.postgresql_backend import base
from psycopg.pq import TransactionStatus


class DatabaseWrapper(base.DatabaseWrapper):
    def init_connection_state(self) -> None:
        """Statements are prepared for their plan to be kept (inventory/api/reading.py). Postgres would rather plan a

        host's joins anew for each few of them, which takes ten times as long as to find them.
        """
        super().init_connection_state()
        self.connection.execute("SET plan_cache_mode = force_generic_plan")

    def is_usable(self) -> bool:
        if self.connection is None or self.connection.closed:
            return False
        if not self.in_atomic_block and self.connection.info.transaction_status != TransactionStatus.IDLE:
            return False
        silent = select.poll()
        silent.register(self.connection.fileno(), select.POLLIN)
        return not silent.poll(0) or super().is_usable()

    def _handle_search_path(self, cursor=None) -> None:
        """Set the schema, unless the session is in it: which the server has said itself, with its last answer.

        So nothing is remembered that a rollback undoes. Servers before Postgres 18 don't say it; django-tenants then
        remembers what it has set since the schema was last chosen.
        """
        said = self.connection.info.parameter_status("search_path")
        if said is not None:
            wanted = self._get_cursor_search_paths()
            self.search_path_set_schemas = wanted if said.split(", ") == wanted else None
        super()._handle_search_path(cursor)
