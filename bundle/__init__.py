"""The contract: what training writes, the converter reads and the server loads. Imports no other room."""
