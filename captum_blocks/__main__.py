"""``python -m captum_blocks``: the command line."""

from captum_blocks.cli import main

if __name__ == "__main__":
    main()
