"""Containers behave as torch's: names, order, slicing, editing, printing."""

from collections import OrderedDict

import numpy as np
import pytest
from hotloop import nn


def layers(lib, n):
    return [lib.Linear(i + 1, i + 2) for i in range(n)]


def sizes(container):
    return [module.in_features for module in container]


@pytest.fixture(params=["ours", "torch"])
def lib(request):
    """The same test runs over torch.nn: it states what torch does."""
    return nn if request.param == "ours" else pytest.importorskip("torch").nn


def test_sequential_applies_in_order(rng):
    a, b = nn.Linear(3, 4), nn.Linear(4, 2)
    x = rng.standard_normal((5, 3)).astype(np.float32)
    assert np.array_equal(nn.Sequential(a, b)(x).numpy(), b(a(x)).numpy())
    named = nn.Sequential(OrderedDict(one=a, two=b))
    assert named.one is a
    assert list(named.state_dict()) == ["one.weight", "one.bias", "two.weight", "two.bias"]
    assert nn.Sequential()(7) == 7


@pytest.mark.parametrize("kind", ["Sequential", "ModuleList"])
def test_list_like_editing(lib, kind):
    def make(modules):
        return lib.Sequential(*modules) if kind == "Sequential" else lib.ModuleList(modules)

    box = make(layers(lib, 4))
    assert len(box) == 4
    assert sizes(box[1:3]) == [2, 3]
    assert type(box[1:3]) is type(box)
    assert sizes(box[::-2]) == [4, 2]
    assert box[-1].in_features == 4
    for index in (4, -5):
        with pytest.raises(IndexError):
            box[index]
    box[0] = lib.Linear(10, 1)
    assert sizes(box) == [10, 2, 3, 4]
    del box[1]
    assert sizes(box) == [10, 3, 4]
    assert [name for name, _ in box.named_children()] == ["0", "1", "2"]
    box.insert(1, lib.Linear(11, 1))
    box.append(lib.Linear(12, 1))
    assert sizes(box) == [10, 11, 3, 4, 12]
    assert [name for name, _ in box.named_children()] == ["0", "1", "2", "3", "4"]
    del box[1:3]
    assert sizes(box) == [10, 4, 12]
    box.extend(layers(lib, 1))
    assert sizes(box) == [10, 4, 12, 1]
    assert box.pop(0).in_features == 10
    assert sizes(box) == [4, 12, 1]
    box += make(layers(lib, 1))
    assert sizes(box) == [4, 12, 1, 1]
    assert sizes(box + make(layers(lib, 2))) == [4, 12, 1, 1, 1, 2]
    assert not any(name.isdigit() for name in dir(box))


def test_sequential_arithmetic(lib):
    box = lib.Sequential(*layers(lib, 2))
    assert sizes(box * 2) == sizes(2 * box) == [1, 2, 1, 2]
    box *= 2
    assert len(box) == 4
    assert len(list(box.modules())) == 3
    for wrong, error in ((0, ValueError), (1.5, TypeError)):
        with pytest.raises(error):
            box * wrong
    with pytest.raises(ValueError):
        box + lib.Identity()


def test_slice_of_a_named_sequential_keeps_names(lib):
    box = lib.Sequential(OrderedDict(a=lib.Identity(), b=lib.Linear(1, 2), c=lib.Identity()))
    assert [name for name, _ in box[1:].named_children()] == ["b", "c"]


def test_module_dict(lib):
    box = lib.ModuleDict({"b": lib.Linear(1, 2), "a": lib.Identity()})
    assert list(box) == list(box.keys()) == ["b", "a"]
    assert "a" in box
    assert "z" not in box
    assert box["b"].out_features == 2
    box.update([("c", lib.Linear(3, 4))])
    box["a"] = lib.Linear(5, 6)
    assert [m.in_features for m in box.values()] == [1, 5, 3]
    assert [name for name, _ in box.items()] == ["b", "a", "c"]
    assert box.pop("b").in_features == 1
    assert len(box) == 2
    for key in ("b", "forward"):
        with pytest.raises(KeyError):
            box[key]
    with pytest.raises(KeyError):
        box["keys"] = lib.Identity()
    with pytest.raises(TypeError):
        box["x"] = 3
    with pytest.raises(TypeError):
        box.update(3)
    with pytest.raises(ValueError):
        box.update([("a", 1, 2)])
    box.clear()
    assert len(box) == 0


def parameter(lib, number, requires_grad=True):
    array = np.full((2, 3), number, np.float32)
    if lib is nn:
        return nn.Parameter(nn.Tensor(array), requires_grad)
    torch = pytest.importorskip("torch")
    return torch.nn.Parameter(torch.from_numpy(array), requires_grad)


def value(parameter):
    return float(parameter.detach()[0, 0])


def test_parameter_list(lib):
    box = lib.ParameterList([parameter(lib, 1), parameter(lib, 2).detach()])
    assert [name for name, _ in box.named_parameters()] == ["0", "1"]
    assert all(isinstance(p, lib.Parameter) for p in box)
    box.append(parameter(lib, 3)).append("note")
    box += [parameter(lib, 4)]
    assert len(box) == 5
    assert box[3] == "note"
    assert value(box[-1]) == 4
    assert len(box[1:3]) == 2
    box[0] = parameter(lib, 9)
    assert value(next(iter(box))) == 9
    with pytest.raises(IndexError):
        box[5]
    with pytest.raises(TypeError):
        box.extend(3)
    with pytest.raises(RuntimeError, match="should not be called"):
        box(1)
    assert "(3): Object of type: str" in repr(box)


def test_parameter_dict(lib):
    box = lib.ParameterDict({"a": parameter(lib, 1), "b": parameter(lib, 2).detach()})
    assert [name for name, _ in box.named_parameters()] == ["a", "b"]
    assert isinstance(box["b"], lib.Parameter)
    assert value(box.setdefault("c", parameter(lib, 3))) == 3
    assert box.get("z") is None
    assert list(reversed(box)) == ["c", "b", "a"]
    assert box.popitem()[0] == "c"
    other = box | lib.ParameterDict({"d": parameter(lib, 4)})
    assert list(other.keys()) == ["a", "b", "d"]
    assert "d" not in box
    box |= other
    assert len(box) == 3
    assert list(box.fromkeys(["x", "y"]).keys()) == ["x", "y"]
    assert value(box.pop("a")) == 1
    assert [value(v) for v in box.values()] == [2, 4]
    assert [k for k, _ in box.items()] == ["b", "d"]
    del box["b"]
    assert "b" not in box
    with pytest.raises(RuntimeError, match="should not be called"):
        box(1)
    box.clear()
    assert len(box) == 0
    assert list(box.parameters()) == []
    with pytest.raises(TypeError):
        box[3] = parameter(lib, 1)


def test_repr_as_torch():
    torch = pytest.importorskip("torch")

    def build(lib):
        return lib.Sequential(
            lib.ModuleList([lib.Linear(1, 2), lib.Linear(1, 2), lib.Identity(), lib.Sequential(lib.Linear(3, 3))]),
            lib.ModuleDict({"x": lib.Flatten(), "y": lib.Unflatten(1, (2, 2)), "z": lib.Sequential()}),
            lib.ModuleList(),
            lib.Bilinear(1, 2, 3),
        )

    assert repr(build(nn)) == repr(build(torch.nn))
    ours = repr(nn.ParameterList([parameter(nn, 1)]))
    assert ours == repr(torch.nn.ParameterList([parameter(torch.nn, 1)])).replace("torch.float32", "float32")


def test_bad_members():
    with pytest.raises(TypeError):
        nn.Sequential(3)
    with pytest.raises(TypeError):
        nn.ModuleList(nn.Linear(1, 1))
    box = nn.ModuleList([nn.Identity()])
    with pytest.raises(TypeError):
        box.insert(0, 3)
    with pytest.raises(IndexError):
        box.insert(5, nn.Identity())
    with pytest.raises(NotImplementedError):
        box(1)
