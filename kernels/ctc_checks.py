"""What every backend asks of the arguments of the CTC loss: plain functions, compiled too.

Sample n has input_lengths[n] steps, and target_lengths[n] labels from `first_label` on: targets hold `step` labels for
each sample, of which the rest is padding, or with step 0 those of all samples one behind the other.
"""


class LengthError(ValueError):
    """LengthError(length, sample, most): raised before any sample is looked at."""

    what = "lengths"

    def __str__(self):
        if len(self.args) != 3:
            return super().__str__()
        length, sample, most = self.args
        return f"{self.what}: expected 0 .. {most}, got {length} for sample {sample}"


class InputLengthError(LengthError):
    what = "input_lengths"


class TargetLengthError(LengthError):
    what = "target_lengths"


class TargetCountError(ValueError):
    """TargetCountError(labels, expected): targets do not hold what target_lengths speak of."""

    def __str__(self):
        if len(self.args) != 2:
            return super().__str__()
        return "targets: expected the sum of target_lengths, {1}, got {0} labels".format(*self.args)


RIGHT, INPUT_LENGTH, TARGET_LENGTH, COUNT = range(4)


def refuse(what, value, sample, most):
    """Raise what `wrong_length` has found, if anything."""
    if what == INPUT_LENGTH:
        raise InputLengthError(value, sample, most)
    if what == TARGET_LENGTH:
        raise TargetLengthError(value, sample, most)
    if what == COUNT:
        raise TargetCountError(value, most)


def check_sizes(samples, classes, labels, step, blank):
    """ValueError for what the host knows: a blank that is no class, a number of labels that no lengths would make
    right."""
    if blank < 0 or blank >= classes:
        raise ValueError("blank: expected a class, 0 .. C-1")
    if step < 0 or (step > 0 and labels != samples * step):
        raise ValueError("step: expected 0, or how many labels targets hold for each sample")


def wrong_length(input_lengths, target_lengths, steps, labels, step):
    """The first length that leads out of x or targets, as `refuse` takes it."""
    total = 0
    most = step if step > 0 else labels
    for n in range(input_lengths.size):
        if input_lengths[n] < 0 or input_lengths[n] > steps:
            return INPUT_LENGTH, input_lengths[n], n, steps
        if target_lengths[n] < 0 or target_lengths[n] > most:
            return TARGET_LENGTH, target_lengths[n], n, most
        total += target_lengths[n]
    if step == 0 and total != labels:
        return COUNT, labels, 0, total
    return RIGHT, 0, 0, 0


def first_label(target_lengths, step, n):
    """Where the labels of sample n begin."""
    if step > 0:
        return n * step
    first = 0
    for i in range(n):
        first += target_lengths[i]
    return first
