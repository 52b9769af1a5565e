"""Data sets: what is read, made, split and cached."""
