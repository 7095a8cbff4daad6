"""The error of a label or id outside its range, for every backend."""


class LabelError(IndexError):
    """LabelError(label, least, most): raised before the label indexes anything."""

    what = "label"

    def __str__(self):
        if len(self.args) != 3:
            return super().__str__()
        return "{} {} is out of range: expected {} .. {}".format(self.what, *self.args)


class IdError(LabelError):
    """The same of the id of a row."""

    what = "id"
