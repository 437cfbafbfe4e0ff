"""Optuna's samplers behind the same ask and tell (the extra ``covenant[explore]``)."""

from __future__ import annotations

import logging

from covenant.errors import UserError
from covenant.explore.search import Values
from covenant.explore.space import Point, Space

__all__ = ["OptunaSearch"]

#: Rounds of nothing but points that were tried before, after which the sampler is taken to be at its end.
_MOST_IDLE = 50


class OptunaSearch:
    """NSGA-II or TPE over the numbers of the values. What it proposes again is told again, and not tried."""

    def __init__(self, space: Space) -> None:
        try:
            import optuna
        except ImportError:
            raise UserError(f"search method {space.method}: the package optuna is missing; expected it, install the extra: pip install 'covenant[explore]', "
                            "or choose method: local") from None
        optuna.logging.set_verbosity(logging.ERROR)
        sampler = optuna.samplers.NSGAIISampler(seed=space.seed, population_size=space.round) if space.method == "optuna-nsga2" else \
            optuna.samplers.TPESampler(seed=space.seed)
        self._fail = optuna.trial.TrialState.FAIL
        self._study = optuna.create_study(directions=["minimize"] * len(space.objectives), sampler=sampler)
        self._distributions: dict[str, optuna.distributions.BaseDistribution] = {
            dimension.name: optuna.distributions.IntDistribution(0, len(dimension.values) - 1) if all(isinstance(v, int) for v in dimension.values) else
            optuna.distributions.CategoricalDistribution(tuple(range(len(dimension.values)))) for dimension in space.dimensions}
        self._study.enqueue_trial(dict(zip(self._distributions, space.base_point(), strict=True)))
        self._round = space.round
        self._tried: dict[Point, Values] = {}
        self._asked: dict[Point, list] = {}

    def ask(self) -> list[Point]:
        self._asked = {}
        for _ in range(_MOST_IDLE * self._round):
            trial = self._study.ask(self._distributions)
            point = tuple(int(trial.params[name]) for name in self._distributions)
            if point in self._tried:
                self._told(trial, self._tried[point])
            else:
                self._asked.setdefault(point, []).append(trial)
            if len(self._asked) == self._round:
                break
        return list(self._asked)

    def tell(self, values: list[Values]) -> None:
        for (point, trials), value in zip(self._asked.items(), values, strict=True):
            self._tried[point] = value
            for trial in trials:
                self._told(trial, value)

    def _told(self, trial, value: Values) -> None:
        if value is None:
            self._study.tell(trial, state=self._fail)
        else:
            self._study.tell(trial, list(value))
