"""Serves localstripe on the loopback interface alone; its own command listens on every interface of the machine.

usage: serve_localstripe.py <port> [--pages]

It forgets everything when it ends: what it writes into the system's temporary folder is never read again. With --pages it also
has what localstripe lacks and a shop needs, hosted pages; tests do without and bring their own.
"""

import sys

from aiohttp import web
from localstripe import resources
from localstripe.server import app

resources.Store.dump_to_disk = lambda self: None

if __name__ == "__main__":
    port = int(sys.argv[1])
    if "--pages" in sys.argv[2:]:
        import pages

        pages.add_to(app, port)
    web.run_app(app, host="127.0.0.1", port=port, print=None)
