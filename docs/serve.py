"""Build the site and serve it on this machine: ``python docs/serve.py`` (pip install ".[docs]"); Ctrl-C ends it."""

from __future__ import annotations

import argparse
import functools
import http.server
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parent
BUILT = DOCS.parent / "build" / "docs"


def main() -> int:
    """Return the exit code: that of the build where it fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="0: any that is free (default: 8000)")
    parser.add_argument("--build", action="store_true", help="build, and serve nothing; a warning is an error")
    parser.add_argument("--as-built", action="store_true", help="serve what was built before")
    options = parser.parse_args()
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-b",
        "html",
        *(["-W", "--keep-going"] if options.build else ["--quiet"]),
    ]
    code = 0 if options.as_built else subprocess.run([*command, str(DOCS), str(BUILT)]).returncode
    if code or options.build:
        return code
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(BUILT))
    with http.server.ThreadingHTTPServer(("127.0.0.1", options.port), handler) as server:
        print(f"the site is at http://127.0.0.1:{server.server_port}/", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
