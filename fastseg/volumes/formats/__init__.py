"""The file formats, a module each: each has a `FORMAT`, and is found by being here."""
