"""How gunicorn's threads share out the connections."""

from select import POLLIN, poll

from gunicorn.workers.gthread import ThreadWorker

LINGER = 10  # milliseconds


class Worker(ThreadWorker):
    """A thread that has answered waits a moment for the client's next request, unless others wait for a thread.

    gunicorn hands the connection back to its main thread after each answer, which hands it to another one again. Both
    take Python's lock from those that compute: an eighth of what it takes to answer with one host (bench: get-host).
    """

    def handle(self, conn):
        again = super().handle(conn)
        while again is True and not conn.is_http2 and self._asks_again(conn):
            again = super().handle(conn)
        return again

    def _asks_again(self, conn) -> bool:
        if not self.alive or not self.tpool._work_queue.empty():
            return False
        if conn.parser.unreader.buf.getvalue():
            return True  # it came with the one before
        waiting = poll()
        waiting.register(conn.sock, POLLIN)
        return bool(waiting.poll(LINGER))
