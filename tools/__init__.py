"""What keeps the committed documents true: `make docs` and `make pictures`."""
