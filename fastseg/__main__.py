"""``python -m fastseg`` is the command line."""

from fastseg.cli import main

main()
