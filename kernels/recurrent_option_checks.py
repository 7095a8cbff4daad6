"""What every backend asks of what a recurrent layer with options keeps for backward: plain functions, compiled too."""


def check_kept(needed, size):
    """ValueError for arrays that an option needs and that are not there."""
    if needed and not size:
        raise ValueError("an array is absent that goes with an option: see the kernel's arguments")
