"""`python -m tocsin.cli`, for where the console script is not on the path."""

from tocsin.cli import main

main()
