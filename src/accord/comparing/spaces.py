"""Which hyper-parameters of a method are searched beside the learning rate, when a specification says nothing else.

One or two per method: those that its paper tunes. A method that is not named here, or that has none, spends all of its
trials on the learning rate.
"""

from __future__ import annotations

from collections.abc import Mapping

from accord.comparing.ranges import Between, OneOf, Range, Simplex

PLAIN = "fixed"

SPACES: Mapping[str, Mapping[str, Range]] = {
    PLAIN: {"weights": Simplex()},
    # Weightings.
    "auto_lambda": {"lr": Between(1e-4, 1e-1, "log")},
    "co_ba": {"tau": Between(1.0, 20.0, "log")},
    "dynamic_weight_average": {"temperature": Between(0.5, 8.0, "log")},
    "famo": {"lr": Between(1e-3, 1e-1, "log")},
    "focal_task": {"gamma": Between(0.5, 5.0)},
    "forum": {"lr": Between(1e-3, 1e-1, "log")},
    "grad_norm": {"alpha": Between(0.0, 3.0)},
    "hedge": {"beta": Between(0.5, 0.999)},
    "moml": {"lr": Between(1e-3, 1e-1, "log")},
    "random_loss_weighting": {"distribution": OneOf(("normal", "uniform", "dirichlet"))},
    "smooth_tchebycheff": {"mu": Between(0.03, 10.0, "log")},
    "spectral_risk": {"spectrum": OneOf(("cvar", "top_k", "extremile", "esrm"))},
    "weight_net": {"lr": Between(1e-3, 1e-1, "log")},
    # Aggregators.
    "aligned_mtl": {"scale": OneOf(("min", "median", "rmse"))},
    "cagrad": {"c": Between(0.1, 0.9)},
    "conic_grad": {"c": Between(0.1, 0.9)},
    "crmogm": {"aggregator": OneOf(("mgda", "pcgrad", "cagrad"))},
    "dbmtl": {"beta": Between(0.0, 0.99)},
    "excess_mtl": {"eta": Between(1e-3, 1.0, "log")},
    "fair_grad": {"alpha": Between(0.3, 3.0, "log")},
    "gcond": {"memory": Between(0.5, 0.99)},
    "grad_vac": {"beta": Between(1e-3, 1.0, "log")},
    "mgda": {"normalisation": OneOf(("none", "l2", "loss", "loss+"))},
    "mo_co": {"gamma": Between(1e-3, 1.0, "log")},
    "mo_do": {"gamma": Between(1e-3, 1.0, "log")},
    "orthogonal_gradient": {"eta": Between(0.3, 10.0, "log")},
    "pcd": {"tau": Between(1e-3, 1.0, "log")},
    "pcgrad": {"orders": OneOf(("random", "all"))},
    "sdmgrad": {"lam": Between(0.03, 3.0, "log")},
    # Sharing: how much capacity, and how it is divided.
    "hard_sharing": {"width": OneOf((96, 192, 384)), "depth": OneOf((1, 2, 3))},
    "mmoe": {"experts": OneOf((4, 8, 16)), "hidden": OneOf((32, 64, 128))},
    "omoe": {"experts": OneOf((4, 8, 16)), "hidden": OneOf((32, 64, 128))},
    "ple": {"own": OneOf((1, 2, 4)), "shared": OneOf((1, 2, 4))},
    # Sampling, where tasks have rows of their own.
    "automated_curriculum": {"rate": Between(1e-4, 1e-1, "log")},
    "discounted_ucb": {"discount": Between(0.9, 0.999)},
    "exp3s": {"switches": OneOf((1, 4, 16))},
    "influence_matrix": {"bandit": OneOf(("exp3", "thompson"))},
    "pi_ke": {"gradient": Between(1e-4, 1.0, "log"), "variance": Between(1e-4, 1.0, "log")},
    "son_goku": {"period": OneOf((16, 32, 64)), "threshold": Between(0.0, 0.5)},
    "temperature": {"temperature": Between(1.0, 10.0, "log")},
    "thompson": {"discount": Between(0.9, 1.0)},
    "uni_max": {"epochs": Between(1.0, 30.0, "log")},
}
