#!/bin/sh
# Runs inside the new root: in the official image pip may install beside the interpreter, and `python` is its name.
set -e
rm -f /usr/lib/python3*/EXTERNALLY-MANAGED
ln -s /usr/bin/python3 /usr/local/bin/python3
ln -s python3 /usr/local/bin/python
ln -s /usr/bin/pip3 /usr/local/bin/pip
