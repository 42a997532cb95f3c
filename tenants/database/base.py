"""Connections that are taken for usable while the server has said nothing, without asking it at every request.

A server that has ended a connection, or has a message on it, has written to its socket: then it is asked. A connection
whose user was interrupted, by a time limit for one, is in the middle of something, and of no use to who comes next.
"""

import select

from django_tenants.postgresql_backend import base
from psycopg.pq import TransactionStatus


class DatabaseWrapper(base.DatabaseWrapper):
    def is_usable(self) -> bool:
        if self.connection is None or self.connection.closed:
            return False
        if not self.in_atomic_block and self.connection.info.transaction_status != TransactionStatus.IDLE:
            return False
        silent = select.poll()
        silent.register(self.connection.fileno(), select.POLLIN)
        return not silent.poll(0) or super().is_usable()
