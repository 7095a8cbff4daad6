"""What every backend asks of the arguments of a recurrent layer: plain functions, compiled too."""


def check_lengths(lengths, steps):
    """ValueError for a sample that has fewer than no steps, or more than there are."""
    for n in range(lengths.size):
        if lengths[n] < 0 or lengths[n] > steps:
            raise ValueError("lengths: expected 0 .. T steps for each sample")


def check_projection(states, hidden, projected):
    """ValueError for states that are not as wide as what makes them; projected: size of w_hr."""
    if projected == 0 and states != hidden:
        raise ValueError("w_hr: expected (P, H), or P == H; it is absent")
