"""A bundle in, another runtime's files out. Imports bundle, never server or training. Nothing is exported yet."""
