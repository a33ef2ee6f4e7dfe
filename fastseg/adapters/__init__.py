"""Drop-ins for other libraries: their names, arguments, results, warnings and errors, and our counting underneath.

One module a host, imported by name, such as `fastseg.adapters.sklearn`. What a drop-in does not count itself goes to the host
with the caller's own arguments, and `report` says how often, and why; with ``FASTSEG_ADAPTERS=strict`` in the environment
it is an error instead.
"""

from fastseg.adapters.calls import NotCovered
from fastseg.adapters.tally import Calls, FallbackError, Report, report

__all__ = ["Calls", "FallbackError", "NotCovered", "Report", "report"]
