"""A bundle in, another runtime's files out, and the way back. Imports bundle, never server or training."""
