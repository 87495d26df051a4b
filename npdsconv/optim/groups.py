"""What an optimiser is given: parameters, or groups of them with a learning rate or weight decay of their own."""

from collections.abc import Iterable, Mapping
from typing import Any

from npdsconv.layers import Parameter
from npdsconv.optim._checks import check_real, require
from npdsconv.text import few

Parameters = Iterable[Parameter | Mapping[str, Any]]
"""``model.parameters()``, or groups: ``{"params": ..., "lr": 1e-4, "weight_decay": 0.0}``, as in PyTorch."""


def in_groups(
    where: str, parameters: Parameters, lr: float, weight_decay: float
) -> tuple[list[Parameter], list[float], list[float]]:
    """All parameters, and for each of them the factor on the learning rate and the weight decay."""
    members = list(parameters)
    groups = [member for member in members if isinstance(member, Mapping)]
    if not groups:
        found = unique_parameters(where, members)
        return found, [1.0] * len(found), [weight_decay] * len(found)
    if len(groups) < len(members):
        raise TypeError(f"{where}: parameters holds groups and parameters: give groups only")
    found, scales, decays = [], [], []
    for k, group in enumerate(groups):
        if unknown := sorted(group.keys() - {"params", "lr", "weight_decay"}):
            raise ValueError(f"{where}: group {k} has {few(unknown)}; params, lr and weight_decay are known")
        own = unique_parameters(f"{where}: group {k}", group.get("params", ()))
        rate, decay = group.get("lr", lr), group.get("weight_decay", weight_decay)
        check_real(where, **{f"lr of group {k}": rate, f"weight_decay of group {k}": decay})
        require(
            where, f"lr of group {k}", rate, rate >= 0 and (lr > 0 or rate == 0), ">= 0, and 0 where lr is 0,"
        )
        require(where, f"weight_decay of group {k}", decay, decay >= 0, ">= 0")
        if twice := sum(p in found for p in own):
            raise ValueError(f"{where}: {twice} parameters of group {k} are in an earlier group too")
        found += own
        scales += [rate / lr if lr else 1.0] * len(own)
        decays += [decay] * len(own)
    return found, scales, decays


def unique_parameters(where: str, parameters: Iterable[Any]) -> list[Parameter]:
    unique = list({id(parameter): parameter for parameter in parameters}.values())
    for parameter in unique:
        if not isinstance(parameter, Parameter):
            raise TypeError(
                f"{where}: parameters holds a {type(parameter).__name__}: pass model.parameters()"
            )
    if not unique:
        raise ValueError(f"{where}: no parameters (was an iterator used up, or does the model have none?)")
    return unique
