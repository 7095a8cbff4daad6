"""The error of a label or index outside its range, for every backend."""


class LabelError(IndexError):
    """LabelError(label, least, most): raised before the label indexes anything."""

    def __str__(self):
        if len(self.args) != 3:
            return super().__str__()
        return "label {} is out of range: expected {} .. {}".format(*self.args)
