"""`python -m broker.cli` is `barid`."""

from broker.cli.main import main

main()
