"""What update rules share: the gradient that they go down, and the count of their steps.

Behind a rule's own numbers `hyper` may have three more, of what is done to the gradient in the same pass:

scale  the gradient is multiplied by it: a norm that is too long
bound  then no element is larger: g = min(max(g, -bound), bound); inf: no bound
l1     then l1 * sign(param) is added: the slope of the penalty l1 * sum |param|, where weight_decay is that of
       weight_decay / 2 * sum param**2
"""

import numpy as np

# numbers of hyper that all rules may have behind their own
SHAPING = 3


def split(hyper, own):
    """(the rule's own numbers, those of the gradient)"""
    if hyper.size not in (own, own + SHAPING):
        raise ValueError("hyper: expected the rule's numbers, and of the gradient three or none")
    return hyper[:own], hyper[own:] if hyper.size > own else (1.0, np.inf, 0.0)


def descent(param, grad, weight_decay, maximize, shaping):
    """g = clip(scale * (-grad if maximize else grad)) + weight_decay * param + l1 * sign(param)"""
    scale, bound, l1 = (param.dtype.type(number) for number in shaping)
    g = -scale * grad if maximize else scale * grad
    g = np.minimum(np.maximum(g, -bound), bound)
    if weight_decay != 0:
        g = g + param.dtype.type(weight_decay) * param
    return g + l1 * np.sign(param) if l1 != 0 else g


def count(step):
    """t: the number of the step that begins."""
    if step.size == 0:
        raise ValueError("step needs size 1 or more, got size 0")
    step += 1
    return step[0]
