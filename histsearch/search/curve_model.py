"""A Gaussian-process model of all learning curves of a study at once.

R@1 of trial i of configuration x after epoch t, in percent:

    y_i(t) = m(t) + f(x) + d(x)·h(t) + u_i + w_i·h(t) + e_i(t)

m is a curve that all trials share, f what a configuration adds to it at the last epoch, d how much
more it adds at the first one, u and w the same for the luck of one trial's seed, e white noise, and
h falls from 1 at the first epoch to 0 at the last. So the first epochs of a trial already say
something of where it would end, and of what its neighbours would, by as much as the data show.

f and d vary over the configurations by an additive kernel: a Matérn-5/2 for each hyperparameter,
and for each pair the product of both. What an earlier study expects of f and d is in part their
mean before any data, and in part a linear component whose size the data decide: it helps as long as
it is right, and is written off when it isn't.

With freeze-thaw (Swersky et al., 2014) and DyHPO (Wistuba et al., NeurIPS 2022) this has the view
that unfinished curves are data; seeds as random effects, and inference in the space of
configurations instead of observations, are what makes it cheap here.
"""

# G = configurations, D = hyperparameters, T = epochs of a full run, U = configurations with data,
# V = those of U that span all others, W = white values of f and d: 2 of V;
# L = latent values: f of U, d of U, m of T; S = hyperparameters of the model; K = earlier studies

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.linalg.lapack import dpstrf
from scipy.optimize import minimize
from scipy.special import ndtr

Array = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.int64]

_JITTER = 1e-6
_TINY = 1e-8
_MOST_TO_FIT = 200
_SAMPLES = 1000
_HOPEFUL = 256  # configurations that samples are drawn of: those whose hope is highest,
_HOPE = 2.0  # their mean and so many standard deviations

# Means and standard deviations of the normal priors of the model's hyperparameters. Those above
# zero are logarithms, in points of R@1.
_SHARED_PRIORS = {
    "interaction": (np.log(0.2), 0.7),  # of two effects, as a part of the product of their sizes
    "length": (np.log(0.7), 0.4),
    "early_slope": (0.0, 0.5),  # d = early_slope · f + early_spread · (f's independent double)
    "early_spread": (np.log(1.0), 0.5),
    "seed": (np.log(0.7), 0.8),
    "early_seed": (np.log(0.7), 0.6),
    "noise": (np.log(1.0), 0.8),
    "bend": (0.0, 0.7),  # of h: -1 a straight line, 0 logarithmic, 1 like 1/t
}
_MAIN_PRIOR = (np.log(1.0), 1.2)
_EARLIER_PRIOR = (np.log(0.5), 0.7)  # of what an earlier study expects, beyond `_TRUST`
_NAMES = tuple(_SHARED_PRIORS)

_TRUST = 0.5  # how much of what earlier studies expect is believed before any data

# Of the shared curve: its level and its slope are free, its shape strays from h by some points.
_LEVEL, _SLOPE, _STRAY = 50.0, 30.0, 3.0


class Curve(NamedTuple):
    """What is known of one trial.

    Attributes:
        configuration: Its row among the candidates.
        recalls: R@1 in percent after each epoch so far, from the first one on.
    """

    configuration: int
    recalls: tuple[float, ...]


class Pending(NamedTuple):
    """A trial that is being trained.

    Attributes:
        configuration: Its row among the candidates.
        before: Epochs it has run for.
        after: The epoch that it is trained to.
    """

    configuration: int
    before: int
    after: int


@dataclass(frozen=True)
class Settings:
    """The model's hyperparameters, on the scale of their priors.

    Attributes:
        values_S: One an earlier study (the weight of what it expects), one a searched
            hyperparameter (its main effect), then the shared ones.
        earlier: How many earlier studies there are.
    """

    values_S: Array
    earlier: int = 0

    def __getattr__(self, name: str) -> float:
        if name not in _SHARED_PRIORS:
            raise AttributeError(name)
        return float(self.values_S[_NAMES.index(name) - len(_NAMES)])

    @property
    def main_D(self) -> Array:
        """Logarithms of the main effects' standard deviations."""
        return self.values_S[self.earlier : -len(_NAMES)]

    @property
    def weights_K(self) -> Array:
        """Standard deviations of the earlier studies' weights."""
        weights_K: Array = np.exp(self.values_S[: self.earlier])
        return weights_K


def prior(dimensions: int, earlier: int = 0) -> tuple[Array, Array]:
    """Mean and standard deviation of each hyperparameter of the model."""
    pairs = [_EARLIER_PRIOR] * earlier + [_MAIN_PRIOR] * dimensions + list(_SHARED_PRIORS.values())
    means_S, deviations_S = np.array(pairs).T
    return means_S, deviations_S


def matern(distances: Array) -> Array:
    """Matérn-5/2 correlation at distances in units of the length scale."""
    scaled = np.sqrt(5.0) * distances
    result: Array = (1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled)
    return result


class _Noise(NamedTuple):
    """What the luck of a trial does to its curve, for the settings at hand."""

    basis_T2: Array  # 1 and h(t)
    precisions: Sequence[Array]  # inverse covariance of the first t epochs
    log_determinants: Sequence[float]


def basis(epochs: int, bend: float) -> Array:
    """(T, 2): 1, and h(t) = (t^-bend − T^-bend) / (1 − T^-bend), which Box and Cox's family is."""
    if epochs == 1:
        return np.array([[1.0, 0.0]])
    logs_T = np.log(np.arange(1, epochs + 1, dtype=float))
    bent_T = logs_T if abs(bend) < _TINY else -np.expm1(-bend * logs_T) / bend
    return np.stack([np.ones(epochs), 1.0 - bent_T / bent_T[-1]], axis=1)


def trial_covariance(settings: Settings, basis_T2: Array) -> Array:
    """(T, T) covariance of what one trial's seed adds to the epochs of its curve."""
    spread_2 = np.exp(2.0 * np.array([settings.seed, settings.early_seed]))
    noise_TT = np.exp(2.0 * settings.noise) * np.eye(len(basis_T2))
    result: Array = (basis_T2 * spread_2) @ basis_T2.T + noise_TT
    return result


def _noise(settings: Settings, epochs: int, most: int) -> _Noise:
    basis_T2 = basis(epochs, settings.bend)
    covariance_TT = trial_covariance(settings, basis_T2)
    factor_TT = np.linalg.cholesky(covariance_TT[:most, :most])
    # The factor of the first epochs is the first part of the factor, and so is its inverse.
    inverse_TT = solve_triangular(factor_TT, np.eye(most), lower=True)
    logs_T = np.concatenate([[0.0], 2.0 * np.cumsum(np.log(np.diag(factor_TT)))])
    precisions = [inverse_TT[:t, :t].T @ inverse_TT[:t, :t] for t in range(most + 1)]
    log_determinants = logs_T.tolist()
    return _Noise(basis_T2, precisions, log_determinants)


class _Luck:
    """What depends on the settings and a trial's epochs alone, computed once."""

    def __init__(self, settings: Settings, epochs: int) -> None:
        self.settings = settings
        self.noise = _noise(settings, epochs, epochs)
        self._covariance_TT = trial_covariance(settings, self.noise.basis_T2)
        self._foreseen: dict[tuple[int, int], Array] = {}

    def foresee(self, before: int, after: int) -> Array:
        """(2, 2) precision of f and d that a trial's epochs ``before`` + 1 to ``after`` bring."""
        if (before, after) not in self._foreseen:
            self._foreseen[before, after] = self._foresee(slice(0, before), slice(before, after))
        return self._foreseen[before, after]

    def _foresee(self, past: slice, future: slice) -> Array:
        basis_T2, covariance_TT = self.noise.basis_T2, self._covariance_TT
        # Given its past, the trial's luck in the future is expected, and known the better.
        weights_kt = np.linalg.solve(covariance_TT[past, past], covariance_TT[past, future]).T
        basis_k2 = basis_T2[future] - weights_kt @ basis_T2[past]
        noise_kk = covariance_TT[future, future] - weights_kt @ covariance_TT[past, future]
        precision_22: Array = basis_k2.T @ np.linalg.solve(noise_kk, basis_k2)
        return precision_22


@lru_cache(maxsize=8)
def _shape_of_stray(epochs: int) -> Array:
    steps_T = np.log(np.arange(1, epochs + 1, dtype=float))
    distances_TT = np.abs(steps_T[:, None] - steps_T[None, :])
    return _STRAY**2 * matern(distances_TT)


class _Information(NamedTuple):
    """The data, as they bear on the latent values: a precision matrix and its right-hand side.

    Trials of different configurations meet in the shared curve alone.
    """

    own_22U: Array
    shared_2UT: Array
    curve_TT: Array
    shift_L: Array
    constant: float

    def precision(self) -> Array:
        """(L, L), the whole matrix."""
        tried, epochs = self.shared_2UT.shape[1:]
        size = 2 * tried
        whole_LL = np.zeros((size + epochs, size + epochs))
        rows = np.arange(tried)
        for i in range(2):
            for j in range(2):
                whole_LL[i * tried + rows, j * tried + rows] = self.own_22U[i, j]
        whole_LL[:size, size:] = self.shared_2UT.reshape(size, epochs)
        whole_LL[size:, :size] = whole_LL[:size, size:].T
        whole_LL[size:, size:] = self.curve_TT
        return whole_LL

    def times(self, weight_LL: Array) -> float:
        """Sum over all entries of the matrix, each times a symmetric weight."""
        tried, epochs = self.shared_2UT.shape[1:]
        size = 2 * tried
        blocks = weight_LL[:size, :size].reshape(2, tried, 2, tried)
        own = np.einsum("abi,aibi->", self.own_22U, blocks)
        shared = (self.shared_2UT.reshape(size, epochs) * weight_LL[:size, size:]).sum()
        curve = (self.curve_TT * weight_LL[size:, size:]).sum()
        return float(own + 2.0 * shared + curve)


class _SameLength(NamedTuple):
    """The trials that have run for the same number of epochs, and the prior means of f and d."""

    rows_N: npt.NDArray[np.int64]
    recalls_Nt: Array
    means_N2: Array

    def above_prior(self, basis_t2: Array) -> Array:
        """(N, t) the recalls less what was expected of them."""
        y_Nt: Array = self.recalls_Nt - self.means_N2 @ basis_t2.T
        return y_Nt


def _by_length(
    curves: Sequence[Curve], row_of: dict[int, int], means_G2: Array
) -> list[_SameLength]:
    groups = []
    for length in sorted({len(curve.recalls) for curve in curves} - {0}):
        those = [curve for curve in curves if len(curve.recalls) == length]
        groups.append(
            _SameLength(
                np.array([row_of[curve.configuration] for curve in those]),
                np.array([curve.recalls for curve in those]),
                means_G2[[curve.configuration for curve in those]],
            )
        )
    return groups


def _inform(groups: Sequence[_SameLength], tried: int, epochs: int, noise: _Noise) -> _Information:
    own_22U = np.zeros((2, 2, tried))
    shared_2UT = np.zeros((2, tried, epochs))
    curve_TT = np.zeros((epochs, epochs))
    shift_2U, shift_T = np.zeros((2, tried)), np.zeros(epochs)
    constant = 0.0
    for group in groups:
        rows_N, t = group.rows_N, group.recalls_Nt.shape[1]
        precision_tt, basis_t2 = noise.precisions[t], noise.basis_T2[:t]
        y_Nt = group.above_prior(basis_t2)
        weighed_t2 = precision_tt @ basis_t2
        count_U = np.bincount(rows_N, minlength=tried)
        own_22U += (basis_t2.T @ weighed_t2)[:, :, None] * count_U
        shared_2UT[:, :, :t] += weighed_t2.T[:, None, :] * count_U[:, None]
        curve_TT[:t, :t] += len(rows_N) * precision_tt
        solved_Nt = y_Nt @ precision_tt
        for which in range(2):
            shift_2U[which] += np.bincount(rows_N, y_Nt @ weighed_t2[:, which], minlength=tried)
        shift_T[:t] += solved_Nt.sum(axis=0)
        constant -= 0.5 * float((y_Nt * solved_Nt).sum() + len(rows_N) * noise.log_determinants[t])
    shift_L = np.concatenate([shift_2U.ravel(), shift_T])
    return _Information(own_22U, shared_2UT, curve_TT, shift_L, constant)


class CurveModel:
    """Fits to the trials of a study; `posterior` predicts every configuration.

    Args:
        places_GD: Where each configuration stands in each hyperparameter: a row of its distances.
        distances_D: Of each hyperparameter, the (P, P) distances between its P places, in [0, 1].
        epochs: T, epochs of a full run.
        earlier_KG2: What each earlier study expects of each configuration's f and d.

    Attributes:
        settings: The model's hyperparameters; their prior's means before the first fit.
        means_G2: f and d that are expected before any data.
    """

    def __init__(
        self,
        places_GD: Integers,
        distances_D: Sequence[Array],
        epochs: int,
        earlier_KG2: Array | None = None,
    ) -> None:
        self.places_GD = places_GD
        self.epochs = epochs
        self._distances_D = distances_D
        if earlier_KG2 is None:
            earlier_KG2 = np.zeros((0, len(places_GD), 2))
        earlier = len(earlier_KG2)
        self._earlier_f_KG = earlier_KG2[:, :, 0]
        self.means_G2: Array = _TRUST * earlier_KG2.sum(axis=0) / max(1, earlier)
        self._prior_means_S, self._prior_deviations_S = prior(len(distances_D), earlier)
        self.settings = Settings(self._prior_means_S, earlier)
        self._luck: _Luck | None = None

    def luck(self) -> _Luck:
        """What a trial's seed does, by the present settings."""
        if self._luck is None or self._luck.settings is not self.settings:
            self._luck = _Luck(self.settings, self.epochs)
        return self._luck

    # The kernel over configurations.

    def parts(self, settings: Settings, rows: Integers, columns: Integers) -> tuple[Array, Array]:
        """Main effects (D, X, Y) and interactions (X, Y) of the kernel between configurations.

        Two hyperparameters interact the more, the larger the effects of both are.
        """
        each_DXY = np.array(
            [
                matern(distances / np.exp(settings.length))[
                    self.places_GD[rows, which][:, None], self.places_GD[columns, which]
                ]
                for which, distances in enumerate(self._distances_D)
            ]
        )
        scaled_DXY = np.exp(settings.main_D)[:, None, None] * each_DXY
        main_DXY = np.exp(settings.main_D)[:, None, None] * scaled_DXY
        pairs_XY = scaled_DXY.sum(axis=0) ** 2 - (scaled_DXY**2).sum(axis=0)
        return main_DXY, 0.5 * np.exp(settings.interaction) * pairs_XY

    def kernel(self, settings: Settings, rows: Integers, columns: Integers) -> Array:
        """Covariance of f between configurations."""
        # The sum of `parts`, with as little as possible done for each pair of configurations.
        half = 0.5 * np.exp(settings.interaction)
        alone_XY, together_XY = np.zeros((2, len(rows), len(columns)))
        for which, distances in enumerate(self._distances_D):
            size = np.exp(settings.main_D[which])
            scaled_PP = size * matern(distances / np.exp(settings.length))
            of_rows, of_columns = self.places_GD[rows, which], self.places_GD[columns, which]
            together_XY += scaled_PP[of_rows][:, of_columns]
            alone_XY += (size * scaled_PP - half * scaled_PP**2)[of_rows][:, of_columns]
        result: Array = alone_XY + half * together_XY**2
        if settings.earlier:
            result += self.earlier_parts(settings, rows, columns).sum(axis=0)
        return result

    def features(self, length: float) -> Array:
        """(G, F) of a kernel of main effects of equal size, whose product is the kernel."""
        factors = [
            np.linalg.cholesky(matern(distances / length) + _JITTER * np.eye(len(distances)))
            for distances in self._distances_D
        ]
        return np.hstack(
            [factor_PP[self.places_GD[:, which]] for which, factor_PP in enumerate(factors)]
        )

    def earlier_parts(self, settings: Settings, rows: Integers, columns: Integers) -> Array:
        """(K, X, Y) the part of the kernel that is linear in what each earlier study expects."""
        scaled_KG = settings.weights_K[:, None] * self._earlier_f_KG
        result: Array = scaled_KG[:, rows][:, :, None] * scaled_KG[:, None, columns]
        return result

    def variance(self, settings: Settings) -> Array:
        """(G,) variance of f before any data."""
        main_D = np.exp(settings.main_D)
        pairs = 0.5 * np.exp(settings.interaction) * (main_D.sum() ** 2 - (main_D**2).sum())
        earlier_KG = settings.weights_K[:, None] * self._earlier_f_KG
        result: Array = (main_D**2).sum() + pairs + (earlier_KG**2).sum(axis=0)
        return result

    @staticmethod
    def coupling(settings: Settings) -> Array:
        """(2, 2) covariance of f and d, in units of the kernel over configurations."""
        slope, spread = settings.early_slope, np.exp(settings.early_spread)
        return np.array([[1.0, slope], [slope, slope**2 + spread**2]])

    def curve_covariance(self, basis_T2: Array) -> Array:
        """(T, T) covariance of the shared curve."""
        scaled_T2 = basis_T2 * np.array([_LEVEL, _SLOPE])
        result: Array = scaled_T2 @ scaled_T2.T + _shape_of_stray(self.epochs)
        return result

    def prior_covariance(self, kernel_UU: Array, settings: Settings, basis_T2: Array) -> Array:
        """(L, L) covariance of the latent values before any data."""
        size = 2 * len(kernel_UU)
        covariance_LL = np.zeros((size + self.epochs, size + self.epochs))
        covariance_LL[:size, :size] = np.kron(self.coupling(settings), kernel_UU)
        covariance_LL[size:, size:] = self.curve_covariance(basis_T2)
        covariance_LL[np.diag_indices_from(covariance_LL)] += _JITTER
        return covariance_LL

    # Fitting.

    def fit(self, curves: Sequence[Curve], iterations: int) -> None:
        """Move the settings towards their posterior's mode, from where they stand.

        Of more than `_MOST_TO_FIT` configurations, those with the longest curves are looked at.
        """
        problem = _Problem(self, _longest(curves))
        earlier = self.settings.earlier

        def negative(values_S: Array) -> tuple[float, Array]:
            value, gradient_S = problem.log_likelihood(Settings(values_S, earlier))
            standard_S = (values_S - self._prior_means_S) / self._prior_deviations_S
            value -= 0.5 * float(standard_S @ standard_S)
            return -value, standard_S / self._prior_deviations_S - gradient_S

        bounds = list(
            zip(
                self._prior_means_S - 4.0 * self._prior_deviations_S,
                self._prior_means_S + 4.0 * self._prior_deviations_S,
                strict=True,
            )
        )
        found = minimize(
            negative,
            self.settings.values_S,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": iterations, "maxfun": 2 * iterations},
        )
        self.settings = Settings(found.x, earlier)

    def posterior(self, curves: Sequence[Curve], pending: Sequence[Pending]) -> "Posterior":
        """What the data say of every configuration.

        Args:
            curves: What is known of each trial.
            pending: Epochs that are being trained; the uncertainty is the one they will leave.
        """
        return Posterior(self, curves, pending)


def _longest(curves: Sequence[Curve]) -> list[Curve]:
    """The curves of the configurations with the longest ones."""
    by_length = sorted(curves, key=lambda curve: -len(curve.recalls))
    chosen = set(list(dict.fromkeys(curve.configuration for curve in by_length))[:_MOST_TO_FIT])
    return [curve for curve in curves if curve.configuration in chosen]


class _Problem:
    """The marginal likelihood of the settings for one set of data."""

    def __init__(self, model: CurveModel, curves: Sequence[Curve]) -> None:
        self.model = model
        self.tried = np.array(
            sorted({curve.configuration for curve in curves if curve.recalls}), dtype=np.int64
        )
        row_of = {int(configuration): row for row, configuration in enumerate(self.tried)}
        self.groups = _by_length(curves, row_of, model.means_G2)
        self.most = max((group.recalls_Nt.shape[1] for group in self.groups), default=0)

    def information(self, settings: Settings) -> _Information:
        noise = _noise(settings, self.model.epochs, self.most)
        return _inform(self.groups, len(self.tried), self.model.epochs, noise)

    def log_likelihood(self, settings: Settings) -> tuple[float, Array]:
        """The logarithm of the marginal likelihood, and its gradient (S,)."""
        model, tried = self.model, len(self.tried)
        size = 2 * tried
        main_DUU, pairs_UU = model.parts(settings, self.tried, self.tried)
        earlier_KUU = model.earlier_parts(settings, self.tried, self.tried)
        kernel_UU = main_DUU.sum(axis=0) + pairs_UU + earlier_KUU.sum(axis=0)
        basis_T2 = basis(model.epochs, settings.bend)
        covariance_LL = model.prior_covariance(kernel_UU, settings, basis_T2)
        data = self.information(settings)
        factor_LL = np.linalg.cholesky(covariance_LL)
        precision_LL = data.precision()
        inner_LL = factor_LL.T @ precision_LL @ factor_LL
        inner_LL[np.diag_indices_from(inner_LL)] += 1.0
        inner_factor = cho_factor(inner_LL, lower=True)
        whitened_L = cho_solve(inner_factor, factor_LL.T @ data.shift_L)
        mean_L = factor_LL @ whitened_L
        value = (
            data.constant
            + 0.5 * float(data.shift_L @ mean_L)
            - float(np.log(np.diag(inner_factor[0])).sum())
        )
        # d value / d covariance = ½(αα' − M), with α = P⁻¹ mean and M = (P + A⁻¹)⁻¹.
        alpha_L = data.shift_L - precision_LL @ mean_L
        remaining_LL = factor_LL @ cho_solve(inner_factor, factor_LL.T)
        middle_LL = precision_LL - precision_LL @ remaining_LL @ precision_LL
        slope_LL = 0.5 * (np.outer(alpha_L, alpha_L) - middle_LL)
        own_22UU = slope_LL[:size, :size].reshape(2, tried, 2, tried).transpose(0, 2, 1, 3)
        coupling_22 = model.coupling(settings)
        over_kernel_UU = np.einsum("ab,abij->ij", coupling_22, own_22UU)
        over_coupling_22 = np.einsum("abij,ij->ab", own_22UU, kernel_UU)

        gradient_S = np.zeros_like(settings.values_S)
        earlier = settings.earlier
        gradient_S[:earlier] = 2.0 * np.einsum("kij,ij->k", earlier_KUU, over_kernel_UU)
        scaled_DUU = main_DUU * np.exp(-settings.main_D)[:, None, None]
        others_DUU = np.exp(settings.interaction) * (scaled_DUU.sum(axis=0) - scaled_DUU)
        gradient_S[earlier : -len(_NAMES)] = np.einsum(
            "dij,ij->d", 2.0 * main_DUU + scaled_DUU * others_DUU, over_kernel_UU
        )
        shared = dict.fromkeys(_NAMES, 0.0)
        shared["interaction"] = float((pairs_UU * over_kernel_UU).sum())
        slope, spread = settings.early_slope, np.exp(settings.early_spread)
        shared["early_slope"] = float(
            2.0 * over_coupling_22[0, 1] + 2.0 * slope * over_coupling_22[1, 1]
        )
        shared["early_spread"] = float(2.0 * spread**2 * over_coupling_22[1, 1])
        shared["length"] = self._over_length(settings, kernel_UU, over_kernel_UU)
        # What the data's side depends on, by differences: no further factorisation is needed.
        weight_LL: Array = np.outer(mean_L, mean_L) + remaining_LL
        for name in ("seed", "early_seed", "noise", "bend"):
            shared[name] = self._over_data(settings, name, data, mean_L, weight_LL)
        step = 1e-5
        bent_T2 = basis(model.epochs, settings.bend + step)
        change_TT = (model.curve_covariance(bent_T2) - model.curve_covariance(basis_T2)) / step
        shared["bend"] += float((slope_LL[size:, size:] * change_TT).sum())
        gradient_S[-len(_NAMES) :] = list(shared.values())
        return value, gradient_S

    def _over_length(self, settings: Settings, kernel_UU: Array, slope_UU: Array) -> float:
        step = 1e-5
        longer = self._moved(settings, "length", step)
        longer_UU = self.model.kernel(longer, self.tried, self.tried)
        return float(((longer_UU - kernel_UU) * slope_UU).sum()) / step

    def _over_data(
        self,
        settings: Settings,
        name: str,
        data: _Information,
        mean_L: Array,
        weight_LL: Array,
    ) -> float:
        step = 1e-5
        moved = self.information(self._moved(settings, name, step))
        change = (
            moved.constant
            - data.constant
            + float(mean_L @ (moved.shift_L - data.shift_L))
            - 0.5 * (moved.times(weight_LL) - data.times(weight_LL))
        )
        return change / step

    @staticmethod
    def _moved(settings: Settings, name: str, step: float) -> Settings:
        values_S = settings.values_S.copy()
        values_S[_NAMES.index(name) - len(_NAMES)] += step
        return Settings(values_S, settings.earlier)


def _span(kernel_UU: Array) -> tuple[Integers, Array]:
    """V configurations that span all others, and their kernel's lower factor.

    On a grid there are far fewer of them than configurations: a pivoted Cholesky factorisation
    ends when what is left of the kernel is below `_JITTER`.
    """
    if len(kernel_UU) == 0:
        return np.zeros(0, dtype=np.int64), np.zeros((0, 0))
    packed_UU, pivots_U, rank, _ = dpstrf(kernel_UU, lower=1, tol=_JITTER)
    return pivots_U[:rank].astype(np.int64) - 1, np.tril(packed_UU[:rank, :rank])


class _White(NamedTuple):
    """The latent values as white ones times factors.

    f and d of U are by factor_22 and spans_VU', and m is by factor_TT. V of the tried
    configurations span all others.
    """

    pivots_V: Integers
    factor_VV: Array
    factor_22: Array
    factor_TT: Array
    spans_VG: Array
    spans_VU: Array

    @classmethod
    def of(cls, model: CurveModel, tried: Integers, basis_T2: Array) -> Self:
        """For the model's present settings."""
        settings = model.settings
        pivots_V, factor_VV = _span(model.kernel(settings, tried, tried))
        every = np.arange(len(model.places_GD))
        kernel_VG = model.kernel(settings, tried[pivots_V], every)
        spans_VG = solve_triangular(factor_VV, kernel_VG, lower=True)
        curve_TT = model.curve_covariance(basis_T2) + _JITTER * np.eye(model.epochs)
        return cls(
            pivots_V,
            factor_VV,
            np.linalg.cholesky(model.coupling(settings)),
            np.linalg.cholesky(curve_TT),
            spans_VG,
            spans_VG[:, tried],
        )

    def precision(self, own_22U: Array) -> Array:
        """(2V, 2V) of the white values of f and d, by prior and data."""
        own_22U = np.einsum("ca,ceu,eb->abu", self.factor_22, own_22U, self.factor_22)
        blocks = [[(self.spans_VU * own_U) @ self.spans_VU.T for own_U in row] for row in own_22U]
        precision_WW: Array = np.block(blocks)
        precision_WW[np.diag_indices_from(precision_WW)] += 1.0
        return precision_WW

    def mean(self, data: _Information) -> tuple[Array, Array]:
        """(2, V) posterior mean of f and d in units of factor_VV, and (T,) of m's white values."""
        size, epochs = 2 * len(self.pivots_V), len(self.factor_TT)
        tried = self.spans_VU.shape[1]
        shared_2UT = np.einsum("ab,aut->but", self.factor_22, data.shared_2UT)
        shared_2VT = self.spans_VU @ shared_2UT @ self.factor_TT
        inner_LL = np.eye(size + epochs)
        inner_LL[:size, :size] = self.precision(data.own_22U)
        inner_LL[:size, size:] = shared_2VT.reshape(size, epochs)
        inner_LL[size:, :size] = inner_LL[:size, size:].T
        inner_LL[size:, size:] += self.factor_TT.T @ data.curve_TT @ self.factor_TT
        shift_2U = data.shift_L[: 2 * tried].reshape(2, tried)
        shift_2V = self.factor_22.T @ shift_2U @ self.spans_VU.T
        shift_T = self.factor_TT.T @ data.shift_L[2 * tried :]
        shift_L = np.concatenate([shift_2V.ravel(), shift_T])
        white_L = cho_solve(cho_factor(inner_LL, lower=True), shift_L)
        return self.factor_22 @ white_L[:size].reshape(2, -1), white_L[size:]


class Posterior:
    """What the data say of every configuration.

    The means take all uncertainty into account. The variances are those that would be left if the
    shared curve were known: it is what a trial's late epochs are measured against, and whoever
    counted it as unknown would never want to see the first of them.

    Attributes:
        mean_G: Expected R@1 at the last epoch, in percent.
        pivots: V tried configurations that the model knows all others by.
        weights_2V: Of each of these in f and in d of any configuration, by the kernel between.
        own_G22: Covariance of f and d of each configuration.
    """

    def __init__(
        self,
        model: CurveModel,
        curves: Sequence[Curve],
        pending: Sequence[Pending],
    ) -> None:
        self._model = model
        self._settings = settings = model.settings
        everything = [*curves, *(Curve(one.configuration, ()) for one in pending)]
        tried = np.array(sorted({curve.configuration for curve in everything}), dtype=np.int64)
        row_of = {int(configuration): row for row, configuration in enumerate(tried)}
        self._luck = model.luck()
        noise = self._luck.noise
        groups = _by_length(curves, row_of, model.means_G2)
        data = _inform(groups, len(tried), model.epochs, noise)

        white = _White.of(model, tried, noise.basis_T2)
        self.pivots: Integers = tried[white.pivots_V]
        white_2V, white_T = white.mean(data)
        self.weights_2V = solve_triangular(white.factor_VV, white_2V.T, lower=True, trans="T").T
        last = float(white.factor_TT[-1] @ white_T)
        self.mean_G: Array = model.means_G2[:, 0] + white_2V[0] @ white.spans_VG + last

        # Posterior = prior − white'·white + left'·left, white being the prior covariance with the
        # latent values divided by the prior's factor, and left that divided by the inner factor.
        own_22U = data.own_22U.copy()
        for one in pending:
            own_22U[:, :, row_of[one.configuration]] += self.foresee(one.before, one.after)
        inner_WW = np.linalg.cholesky(white.precision(own_22U))
        self._whites = [
            np.concatenate([a * white.spans_VG, b * white.spans_VG]) for a, b in white.factor_22
        ]
        self._lefts = [solve_triangular(inner_WW, one, lower=True) for one in self._whites]
        (f_f, f_d), (_, d_d) = model.coupling(settings)
        scale_G = model.variance(settings)

        def covariance_of(one: int, two: int, coupling: float) -> Array:
            change_WG = self._lefts[one] * self._lefts[two] - self._whites[one] * self._whites[two]
            covariance_G: Array = coupling * scale_G + change_WG.sum(axis=0)
            return covariance_G

        f_f_G, f_d_G, d_d_G = (
            covariance_of(0, 0, f_f),
            covariance_of(0, 1, f_d),
            covariance_of(1, 1, d_d),
        )
        self.own_G22 = np.array([[f_f_G, f_d_G], [f_d_G, d_d_G]]).transpose(2, 0, 1)

    def best_but(self, barred: Sequence[int]) -> int:
        """The configuration with the highest mean of those that aren't barred."""
        mean_G = self.mean_G.copy()
        mean_G[list(barred)] = -np.inf
        return int(mean_G.argmax())

    def deviations_from(self, best: int) -> Array:
        """(G,) standard deviation of each f less that of one configuration."""
        f_f_G, with_best_G = self.own_G22[:, 0, 0], self.covariance([best])[0, 0]
        variance_G = f_f_G - 2.0 * with_best_G + f_f_G[best]
        deviations_G: Array = np.sqrt(np.maximum(variance_G, _JITTER))
        return deviations_G

    def chance_of_beating(self, one: int) -> Array:
        """(G,) probability that a configuration's f is above that of one."""
        chances_G: Array = ndtr((self.mean_G - self.mean_G[one]) / self.deviations_from(one))
        return chances_G

    def covariance(self, rows: Sequence[int] | Integers) -> Array:
        """(2, R, G) covariance of f of some configurations, with f and with d of all."""
        every, rows_R = np.arange(len(self.mean_G)), np.asarray(rows)
        kernel_RG = self._model.kernel(self._settings, rows_R, every)
        white_WR, left_WR = self._whites[0][:, rows_R], self._lefts[0][:, rows_R]
        couplings = self._model.coupling(self._settings)[0]
        return np.stack(
            [
                coupling * kernel_RG - white_WR.T @ white_WG + left_WR.T @ left_WG
                for coupling, white_WG, left_WG in zip(
                    couplings, self._whites, self._lefts, strict=True
                )
            ]
        )

    def chance_of_better(
        self, answer: int, delta: float, rng: np.random.Generator, barred: Sequence[int] = ()
    ) -> float:
        """Probability that some configuration is better than one by more than ``delta``.

        By `_SAMPLES` samples of the configurations that may be.

        Args:
            answer: That one.
            delta: In points of R@1.
            rng: Source of the samples.
            barred: Configurations that don't count.
        """
        rivals = np.setdiff1d(np.arange(len(self.mean_G)), [answer, *barred])
        if len(rivals) == 0:
            return 0.0
        hopes_G = self.mean_G + _HOPE * self.deviations_from(answer)
        rows = np.unique([answer, *rivals[np.argsort(-hopes_G[rivals])[:_HOPEFUL]]])
        covariance_RR = self.covariance(rows)[0][:, rows]
        covariance_RR[np.diag_indices_from(covariance_RR)] += _JITTER
        factor_RR = np.linalg.cholesky(covariance_RR)
        f_RX = self.mean_G[rows, None] + factor_RR @ rng.normal(size=(len(rows), _SAMPLES))
        ahead_X = f_RX.max(axis=0) - f_RX[int(np.flatnonzero(rows == answer)[0])]
        return float((ahead_X > delta).mean())

    def foresee(self, before: int, after: int) -> Array:
        """(2, 2) precision of f and d that a trial's epochs ``before`` + 1 to ``after`` bring."""
        return self._luck.foresee(before, after)
