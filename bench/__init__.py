"""What is fast, and against whom: each file is a program that measures and adds its figures to RESULTS.md."""
