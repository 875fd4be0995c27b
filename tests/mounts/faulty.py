"""The faulty file system's process: `python -m mounts.faulty ROOT FOLDER SOCKET SCRATCH [--write-once] ...`.

`control.faulty` starts it. It serves the kernel from its main thread and a test from another one: a line of JSON in
(faults, or an empty line), a line of JSON out (what was met since the last switch).
"""

import argparse
import json
import socketserver
import threading
from pathlib import Path

from mounts.faults import Faults
from mounts.passthrough import Passthrough, options
from mounts.write_once import WriteOnce


def serve(operations: Passthrough, address: str) -> None:
    """Answer a test's lines for ever."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            line = self.rfile.readline().decode().strip()
            met = operations.hits()
            if line:
                operations.switch(Faults.from_json(line))
            self.wfile.write(json.dumps(met).encode() + b"\n")

    server = socketserver.ThreadingUnixStreamServer(address, Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main() -> None:
    """Mount the folder and serve it until it is unmounted."""
    import mfusepy

    parser = argparse.ArgumentParser()
    for name in ("root", "folder", "socket", "scratch"):
        parser.add_argument(name, type=Path)
    for flag in ("--write-once", "--overwrite", "--delete"):
        parser.add_argument(flag, action="store_true")
    arguments = parser.parse_args()
    allowed = {"overwrite": arguments.overwrite, "delete": arguments.delete}
    write_once = WriteOnce(arguments.root, arguments.scratch, **allowed) if arguments.write_once else None
    operations = write_once or Passthrough(arguments.root, arguments.scratch)
    serve(operations, str(arguments.socket))
    mfusepy.FUSE(operations, str(arguments.folder), foreground=True, fsname="faulty", **options())


if __name__ == "__main__":
    main()
