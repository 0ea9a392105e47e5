"""Importance of parameters for fitness by PED-ANOVA, which needs neither forests nor more than seconds.

It compares, parameter by parameter, how the values of the best trials are spread with how those of all trials are:
where the best differ from the rest, the parameter mattered (Watanabe, Bansal & Hutter, "PED-ANOVA: Efficiently
Quantifying Hyperparameter Importance in Arbitrary Subspaces", IJCAI 2023). The computation is Optuna's.
"""

from __future__ import annotations

import math
import warnings
from inspect import signature
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.study import Study

MIN_TRIALS = 10
"""With fewer finished trials the best of them are too few to say how they are spread."""
BEST_FRACTION, MIN_BEST = 0.1, 5
"""The best trials: this share of all, and no fewer than this many."""


def importances(study: Study) -> dict[str, float]:
    """Importance of each parameter for a trial being among the best, as shares of 1, most first.

    Args:
        study: of one objective; its finished trials count.

    Returns:
        By name; empty if fewer than 10 trials have finished, if all have the same fitness, and if nothing can be
        determined.
    """
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    values = {trial.value for trial in trials if trial.value is not None and math.isfinite(trial.value)}
    if len(trials) < MIN_TRIALS or len(values) < 2:
        return {}
    share = min(0.5, max(BEST_FRACTION, MIN_BEST / len(trials)))
    # Optuna before 4.7 has it under another name.
    names = signature(PedAnovaImportanceEvaluator).parameters
    name = "target_quantile" if "target_quantile" in names else "baseline_quantile"
    settings: dict[str, Any] = {name: share}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = PedAnovaImportanceEvaluator(**settings)
        found = get_param_importances(study, evaluator=evaluator, normalize=False)
    # What never varied shows at most the bounds it was given.
    varied = {name for name in found if len({trial.params.get(name) for trial in trials}) > 1}
    found = {name: value if name in varied else 0.0 for name, value in found.items()}
    total = sum(found.values())
    if not math.isfinite(total) or total <= 0:
        return {}
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return {parameter: value / total for parameter, value in ordered}
