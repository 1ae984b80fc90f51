"""``python -m fwpages``: the command line."""

from fwpages.cli import main

if __name__ == "__main__":
    main()
