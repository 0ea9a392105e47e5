"""`python -m lehr` is `lehr`."""

from lehr.cli.app import main

main()
