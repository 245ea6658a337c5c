"""`python -m training` is `hogseg`."""

from training.cli import main

if __name__ == "__main__":
    main()
