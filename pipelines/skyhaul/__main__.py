"""`python -m skyhaul`: the command line."""

from skyhaul.cli.main import main

main()
