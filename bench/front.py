"""`python -m bench.front PORT UPSTREAM CERTIFICATE KEY`: TLS before the web server, as `manage.py up` has it."""

import asyncio
import sys
from pathlib import Path

from eim_project import tls
from eim_project.embedded import LOOPBACK


async def main(port: str, upstream: str, certificate: str, key: str) -> None:
    context = tls.context_of(tls.chains(Path(certificate), Path(key)))
    server = await tls.serve(LOOPBACK, int(port), context, (LOOPBACK, int(upstream)))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
