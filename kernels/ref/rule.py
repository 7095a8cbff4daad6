"""What update rules share: the gradient that they go down, and the count of their steps."""


def descent(param, grad, weight_decay, maximize):
    """g = (-grad if maximize else grad) + weight_decay * param"""
    g = -grad if maximize else grad
    return g + param.dtype.type(weight_decay) * param if weight_decay != 0 else g


def count(step):
    """t: the number of the step that begins."""
    if step.size == 0:
        raise ValueError("step needs size 1 or more, got size 0")
    step += 1
    return step[0]
