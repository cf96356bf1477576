"""Speed compared with other libraries: one module a benchmark."""
