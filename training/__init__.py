"""Data sets in, finished bundles out. Imports bundle, never server or converter."""
