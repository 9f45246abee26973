"""A Gaussian-process model of all learning curves of a study at once.

R@1 of trial i of configuration x after epoch t, in percent:

    y_i(t) = m(t) + f(x) + d(x)·h(t) + b(x)·sin(πh(t)) + c(x)·sin(2πh(t)) + g_i(t) + e_i(t)

m is a curve that all trials share, f what a configuration adds to it at the last epoch, and d how
much more it adds at the first one; h falls from 1 at the first epoch to 0 at the last. b and c are
how its curve strays from that on the way: the first two terms of a Brownian bridge. g is what the
luck of one trial's seed adds, u_i + v_i·h(t) and a drift, whose correlation falls with the
logarithm of the ratio of two epochs, and e is white noise. So the first epochs of a trial already
say something of where it would end, and of what its neighbours would, by as much as the data show;
but no more than that, as some curves rise late.

f, d, b and c vary over the configurations by an additive kernel: a Matérn-5/2 for each
hyperparameter, and for each pair the product of both. What an earlier study expects of them is in
part their mean before any data, and in part a linear component whose size the data decide: it helps
as long as it is right, and is written off when it isn't.

With freeze-thaw (Swersky et al., 2014) and DyHPO (Wistuba et al., NeurIPS 2022) this has the view
that unfinished curves are data; seeds as random effects, and inference in the space of
configurations instead of observations, are what makes it cheap here.
"""

# G = configurations, D = hyperparameters, T = epochs of a full run, U = configurations with data,
# V = those of U that span all others, B = parts of what a configuration adds: f, d, b, c;
# W = white values of these: B of V; L = latent values: B of U, m of T;
# S = hyperparameters of the model; K = earlier studies; X = draws

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations_with_replacement
from typing import NamedTuple, Self

import numpy as np
from scipy.linalg import block_diag, cho_factor, cho_solve, solve_triangular
from scipy.linalg.lapack import dpstrf
from scipy.optimize import minimize
from scipy.sparse import block_array, csr_array, diags_array
from scipy.special import ndtr

from histsearch.freeze_thaw.arrays import Array, Integers
from histsearch.freeze_thaw.trials import Curve, Pending

PARTS = 4
"""B: f, d, b and c, what a configuration adds to the shared curve."""

_JITTER = 1e-6
_TINY = 1e-8
_MOST_TO_FIT = 200
_MOST_SPANNING = 160
_FARTHEST = 4.0  # standard deviations of the prior that a fit may go to
_MODE_ITERATIONS = 40
_STEP = 0.01  # of the standardised settings, to see how the likelihood bends
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
    "bow": (np.log(0.1), 0.4),  # b = bow · (another), c = half of bow · (another)
    "seed": (np.log(0.7), 0.8),
    "early_seed": (np.log(0.7), 0.6),
    "drift": (np.log(0.7), 0.8),
    "noise": (np.log(1.0), 0.8),
    "bend": (0.0, 0.7),  # of h: -1 a straight line, 0 logarithmic, 1 like 1/t
}
_MAIN_PRIOR = (np.log(1.0), 1.2)
_EARLIER_PRIOR = (np.log(0.5), 0.7)  # of what an earlier study expects, beyond `_TRUST`
_NAMES = tuple(_SHARED_PRIORS)

_TRUST = 0.5  # how much of what earlier studies expect is believed before any data

# Of the shared curve: its level and its slope are free, its shape strays from h by some points.
_LEVEL, _SLOPE, _STRAY = 50.0, 30.0, 3.0


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

    basis_TB: Array
    precisions: Sequence[Array]  # inverse covariance of the first t epochs
    log_determinants: Sequence[float]


def basis(epochs: int, bend: float) -> Array:
    """(T, B): 1, h(t), sin(πh(t)) and sin(2πh(t)).

    h(t) = (t^-bend − T^-bend) / (1 − T^-bend), which is Box and Cox's family.
    """
    if epochs == 1:
        return np.array([[1.0, 0.0, 0.0, 0.0]])
    logs_T = np.log(np.arange(1, epochs + 1, dtype=float))
    bent_T = logs_T if abs(bend) < _TINY else -np.expm1(-bend * logs_T) / bend
    h_T = 1.0 - bent_T / bent_T[-1]
    bows_2T = np.sin(np.pi * np.array([[1.0], [2.0]]) * h_T)
    return np.stack([np.ones(epochs), h_T, *bows_2T], axis=1)


def trial_covariance(settings: Settings, basis_TB: Array) -> Array:
    """(T, T) covariance of what one trial's seed adds to the epochs of its curve."""
    spread_2 = np.exp(2.0 * np.array([settings.seed, settings.early_seed]))
    noise_TT = np.exp(2.0 * settings.noise) * np.eye(len(basis_TB))
    noise_TT += np.exp(2.0 * settings.drift) * np.exp(-_times_apart(len(basis_TB)))
    basis_T2 = basis_TB[:, :2]
    result: Array = (basis_T2 * spread_2) @ basis_T2.T + noise_TT
    return result


def _noise(settings: Settings, epochs: int, most: int) -> _Noise:
    basis_TB = basis(epochs, settings.bend)
    covariance_TT = trial_covariance(settings, basis_TB)
    factor_TT = np.linalg.cholesky(covariance_TT[:most, :most])
    # The factor of the first epochs is the first part of the factor, and so is its inverse.
    inverse_TT = solve_triangular(factor_TT, np.eye(most), lower=True)
    logs_T = np.concatenate([[0.0], 2.0 * np.cumsum(np.log(np.diag(factor_TT)))])
    precisions = [inverse_TT[:t, :t].T @ inverse_TT[:t, :t] for t in range(most + 1)]
    log_determinants = logs_T.tolist()
    return _Noise(basis_TB, precisions, log_determinants)


class _Luck:
    """What depends on the settings and a trial's epochs alone, computed once."""

    def __init__(self, settings: Settings, epochs: int) -> None:
        self.settings = settings
        self.noise = _noise(settings, epochs, epochs)
        self._covariance_TT = trial_covariance(settings, self.noise.basis_TB)
        self._foreseen: dict[tuple[int, int], Array] = {}

    def foresee(self, before: int, after: int) -> Array:
        """(B, B) precision that a trial's epochs ``before`` + 1 to ``after`` bring."""
        if (before, after) not in self._foreseen:
            self._foreseen[before, after] = self._foresee(slice(0, before), slice(before, after))
        return self._foreseen[before, after]

    def _foresee(self, past: slice, future: slice) -> Array:
        basis_TB, covariance_TT = self.noise.basis_TB, self._covariance_TT
        # Given its past, the trial's luck in the future is expected, and known the better.
        weights_kt = np.linalg.solve(covariance_TT[past, past], covariance_TT[past, future]).T
        ahead_TB = basis_TB[future] - weights_kt @ basis_TB[past]
        noise_kk = covariance_TT[future, future] - weights_kt @ covariance_TT[past, future]
        precision_BB: Array = ahead_TB.T @ np.linalg.solve(noise_kk, ahead_TB)
        return precision_BB


def _coupling_factor(settings: Settings) -> Array:
    """(B, B) lower factor of the covariance of f, d, b and c, in units of the kernel."""
    early, bow = np.exp(settings.early_spread), np.exp(settings.bow)
    factor_BB = np.diag([1.0, early, bow, 0.5 * bow])
    factor_BB[1, 0] = settings.early_slope
    return factor_BB


@lru_cache(maxsize=8)
def _times_apart(epochs: int) -> Array:
    """(T, T) how many times as late one epoch is as another, in logarithms."""
    logs_T = np.log(np.arange(1, epochs + 1, dtype=float))
    distances_TT: Array = np.abs(logs_T[:, None] - logs_T[None, :])
    return distances_TT


class _Information(NamedTuple):
    """The data, as they bear on the latent values: a precision matrix and its right-hand side.

    Trials of different configurations meet in the shared curve alone.
    """

    own_BBU: Array
    shared_BUT: Array
    curve_TT: Array
    shift_L: Array
    constant: float

    def precision(self) -> csr_array:
        """(L, L), the whole matrix."""
        tried, epochs = self.shared_BUT.shape[1:]
        shared_LT = self.shared_BUT.reshape(PARTS * tried, epochs)
        blocks: list[list[csr_array]] = [
            [csr_array(diags_array(own_U)) for own_U in own_BU] for own_BU in self.own_BBU
        ]
        blocks = [
            [csr_array(block_array(blocks)), csr_array(shared_LT)],
            [csr_array(shared_LT.T), csr_array(self.curve_TT)],
        ]
        return csr_array(block_array(blocks))

    def times(self, weight_LL: Array) -> float:
        """Sum over all entries of the matrix, each times a symmetric weight."""
        tried, epochs = self.shared_BUT.shape[1:]
        size = PARTS * tried
        blocks = weight_LL[:size, :size].reshape(PARTS, tried, PARTS, tried)
        own = np.einsum("abi,aibi->", self.own_BBU, blocks)
        shared = (self.shared_BUT.reshape(size, epochs) * weight_LL[:size, size:]).sum()
        curve = (self.curve_TT * weight_LL[size:, size:]).sum()
        return float(own + 2.0 * shared + curve)


class _SameLength(NamedTuple):
    """The trials that have run for the same number of epochs, and what was expected of each."""

    rows_N: Integers
    recalls_Nt: Array
    means_NB: Array

    def above_prior(self, seen_TB: Array) -> Array:
        """(N, t) the recalls less what was expected of them."""
        y_Nt: Array = self.recalls_Nt - self.means_NB @ seen_TB.T
        return y_Nt


def _by_length(
    curves: Sequence[Curve], row_of: dict[int, int], means_GB: Array
) -> list[_SameLength]:
    groups = []
    for length in sorted({len(curve.recalls) for curve in curves} - {0}):
        those = [curve for curve in curves if len(curve.recalls) == length]
        groups.append(
            _SameLength(
                np.array([row_of[curve.configuration] for curve in those]),
                np.array([curve.recalls for curve in those]),
                means_GB[[curve.configuration for curve in those]],
            )
        )
    return groups


def _inform(groups: Sequence[_SameLength], tried: int, epochs: int, noise: _Noise) -> _Information:
    own_BBU = np.zeros((PARTS, PARTS, tried))
    shared_BUT = np.zeros((PARTS, tried, epochs))
    curve_TT = np.zeros((epochs, epochs))
    shift_BU, shift_T = np.zeros((PARTS, tried)), np.zeros(epochs)
    constant = 0.0
    for group in groups:
        rows_N, t = group.rows_N, group.recalls_Nt.shape[1]
        precision_tt, seen_TB = noise.precisions[t], noise.basis_TB[:t]
        y_Nt = group.above_prior(seen_TB)
        weighed_TB = precision_tt @ seen_TB
        count_U = np.bincount(rows_N, minlength=tried)
        own_BBU += (seen_TB.T @ weighed_TB)[:, :, None] * count_U
        shared_BUT[:, :, :t] += weighed_TB.T[:, None, :] * count_U[:, None]
        curve_TT[:t, :t] += len(rows_N) * precision_tt
        solved_Nt = y_Nt @ precision_tt
        for which in range(PARTS):
            shift_BU[which] += np.bincount(rows_N, y_Nt @ weighed_TB[:, which], minlength=tried)
        shift_T[:t] += solved_Nt.sum(axis=0)
        constant -= 0.5 * float((y_Nt * solved_Nt).sum() + len(rows_N) * noise.log_determinants[t])
    shift_L = np.concatenate([shift_BU.ravel(), shift_T])
    return _Information(own_BBU, shared_BUT, curve_TT, shift_L, constant)


class CurveModel:
    """Fits to the trials of a study; `posterior` predicts every configuration.

    Args:
        places_GD: Where each configuration stands in each hyperparameter: a row of its distances.
        distances_D: Of each hyperparameter, the (P, P) distances between its P places, in [0, 1].
        epochs: T, epochs of a full run.
        earlier_KGB: What each earlier study expects of each configuration's f, d, b and c.

    Attributes:
        settings: The model's hyperparameters; their prior's means before the first fit.
        means_GB: f, d, b and c that are expected before any data.
    """

    def __init__(
        self,
        places_GD: Integers,
        distances_D: Sequence[Array],
        epochs: int,
        earlier_KGB: Array | None = None,
    ) -> None:
        self.places_GD = places_GD
        self.epochs = epochs
        self._distances_D = distances_D
        if earlier_KGB is None:
            earlier_KGB = np.zeros((0, len(places_GD), PARTS))
        earlier = len(earlier_KGB)
        self._earlier_f_KG = earlier_KGB[:, :, 0]
        self.means_GB: Array = _TRUST * earlier_KGB.sum(axis=0) / max(1, earlier)
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
        """(B, B) covariance of f, d, b and c, in units of the kernel over configurations."""
        factor_BB = _coupling_factor(settings)
        result: Array = factor_BB @ factor_BB.T
        return result

    def curve_covariance(self, basis_TB: Array) -> Array:
        """(T, T) covariance of the shared curve."""
        scaled_TB = basis_TB[:, :2] * np.array([_LEVEL, _SLOPE])
        result: Array = scaled_TB @ scaled_TB.T + _STRAY**2 * matern(_times_apart(self.epochs))
        return result

    def prior_factor(self, kernel_UU: Array, settings: Settings, basis_TB: Array) -> Array:
        """(L, L) lower factor of the covariance of the latent values before any data."""
        factor_UU, factor_TT = (
            np.linalg.cholesky(one + _JITTER * np.eye(len(one)))
            for one in (kernel_UU, self.curve_covariance(basis_TB))
        )
        result: Array = block_diag(np.kron(_coupling_factor(settings), factor_UU), factor_TT)
        return result

    # Fitting.

    def fit(self, curves: Sequence[Curve], iterations: int) -> None:
        """Move the settings towards their posterior's mode, from where they stand.

        Of more than `_MOST_TO_FIT` configurations, those with the longest curves are looked at.
        """
        bounds = list(
            zip(
                self._prior_means_S - _FARTHEST * self._prior_deviations_S,
                self._prior_means_S + _FARTHEST * self._prior_deviations_S,
                strict=True,
            )
        )
        found = minimize(
            self._objective(curves),
            self.settings.values_S,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": iterations, "maxfun": 2 * iterations},
        )
        self.settings = Settings(found.x, self.settings.earlier)

    def draws(
        self, curves: Sequence[Curve], number: int, rng: np.random.Generator
    ) -> list[tuple[float, Self]]:
        """The model with settings drawn from their posterior; weights, whose sum is 1, and models.

        They are drawn by Laplace's approximation, a normal distribution around the mode whose
        precision is the curvature there, and weighed by what the posterior is above it. A
        direction in which the data seem to know less than the prior counts as known by the prior.
        """
        mode = copy(self)
        mode.fit(curves, _MODE_ITERATIONS)
        objective, mode_S = mode._objective(curves), mode.settings.values_S
        scale_S = self._prior_deviations_S
        steps_SS = _STEP * np.diag(scale_S)
        slopes_SS = np.array([objective(mode_S + step_S)[1] for step_S in steps_SS])
        curvature_SS = scale_S * (slopes_SS - objective(mode_S)[1]) / _STEP
        precisions_S, axes_SS = np.linalg.eigh(0.5 * (curvature_SS + curvature_SS.T))
        factor_SS = scale_S[:, None] * axes_SS / np.sqrt(np.maximum(precisions_S, 1.0))
        white_XS = rng.normal(size=(number, len(mode_S)))
        farthest_S = _FARTHEST * scale_S
        drawn_XS = np.clip(
            mode_S + white_XS @ factor_SS.T,
            self._prior_means_S - farthest_S,
            self._prior_means_S + farthest_S,
        )
        logs_X = np.array([-objective(drawn_S)[0] for drawn_S in drawn_XS])
        logs_X += 0.5 * (white_XS**2).sum(axis=1)
        weights_X = np.exp(logs_X - logs_X.max())
        weights_X /= weights_X.sum()
        models = [copy(self) for _ in drawn_XS]
        for model, drawn_S in zip(models, drawn_XS, strict=True):
            model.settings = Settings(drawn_S, self.settings.earlier)
        return list(zip(weights_X.tolist(), models, strict=True))

    def _objective(self, curves: Sequence[Curve]) -> Callable[[Array], tuple[float, Array]]:
        """The negative logarithm of the settings' posterior, and its gradient (S,)."""
        problem = _Problem(self, _longest(curves))
        earlier = self.settings.earlier

        def negative(values_S: Array) -> tuple[float, Array]:
            value, gradient_S = problem.log_likelihood(Settings(values_S, earlier))
            standard_S = (values_S - self._prior_means_S) / self._prior_deviations_S
            value -= 0.5 * float(standard_S @ standard_S)
            return -value, standard_S / self._prior_deviations_S - gradient_S

        return negative

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


class _Kernels(NamedTuple):
    """Covariances of f between the configurations that were tried, and their sum."""

    main_DUU: Array
    pairs_UU: Array
    earlier_KUU: Array
    all_UU: Array


class _Problem:
    """The marginal likelihood of the settings for one set of data."""

    def __init__(self, model: CurveModel, curves: Sequence[Curve]) -> None:
        self.model = model
        self.tried = np.array(
            sorted({curve.configuration for curve in curves if curve.recalls}), dtype=np.int64
        )
        row_of = {int(configuration): row for row, configuration in enumerate(self.tried)}
        self.groups = _by_length(curves, row_of, model.means_GB)
        self.most = max((group.recalls_Nt.shape[1] for group in self.groups), default=0)

    def information(self, settings: Settings) -> _Information:
        noise = _noise(settings, self.model.epochs, self.most)
        return _inform(self.groups, len(self.tried), self.model.epochs, noise)

    def log_likelihood(self, settings: Settings) -> tuple[float, Array]:
        """The logarithm of the marginal likelihood, and its gradient (S,)."""
        model = self.model
        kernels = self._kernels(settings)
        basis_TB = basis(model.epochs, settings.bend)
        factor_LL = model.prior_factor(kernels.all_UU, settings, basis_TB)
        data = self.information(settings)
        precision_LL = data.precision()
        inner_LL = factor_LL.T @ (precision_LL @ factor_LL)
        inner_LL[np.diag_indices_from(inner_LL)] += 1.0
        inner_factor_LL = np.linalg.cholesky(inner_LL)
        half_LL = solve_triangular(inner_factor_LL, factor_LL.T, lower=True)
        remaining_LL = half_LL.T @ half_LL
        mean_L = remaining_LL @ data.shift_L
        value = (
            data.constant
            + 0.5 * float(data.shift_L @ mean_L)
            - float(np.log(np.diag(inner_factor_LL)).sum())
        )
        # d value / d covariance = ½(αα' − M), with α = P⁻¹ mean and M = (P + A⁻¹)⁻¹.
        alpha_L = data.shift_L - precision_LL @ mean_L
        middle_LL = precision_LL.toarray() - (precision_LL @ remaining_LL) @ precision_LL
        slope_LL = 0.5 * (np.outer(alpha_L, alpha_L) - middle_LL)
        over_each_S, shared = self._over_configurations(settings, kernels, slope_LL)
        # What the data's side depends on, by differences: no further factorisation is needed.
        weight_LL: Array = np.outer(mean_L, mean_L) + remaining_LL
        for name in ("seed", "early_seed", "drift", "noise", "bend"):
            shared[name] = self._over_data(settings, name, data, mean_L, weight_LL)
        shared["bend"] += self._over_shared_curve(settings, basis_TB, slope_LL)
        return value, np.append(over_each_S, [shared[name] for name in _NAMES])

    def _kernels(self, settings: Settings) -> "_Kernels":
        main_DUU, pairs_UU = self.model.parts(settings, self.tried, self.tried)
        earlier_KUU = self.model.earlier_parts(settings, self.tried, self.tried)
        all_UU: Array = main_DUU.sum(axis=0) + pairs_UU + earlier_KUU.sum(axis=0)
        return _Kernels(main_DUU, pairs_UU, earlier_KUU, all_UU)

    def _over_configurations(
        self, settings: Settings, kernels: "_Kernels", slope_LL: Array
    ) -> tuple[Array, dict[str, float]]:
        """The gradient over what the configurations' covariance depends on.

        Returns:
            That over the earlier studies' weights and the hyperparameters' effects, and those over
            the shared settings by name.
        """
        tried = len(self.tried)
        size = PARTS * tried
        own_BBUU = slope_LL[:size, :size].reshape(PARTS, tried, PARTS, tried).transpose(0, 2, 1, 3)
        over_kernel_UU = np.einsum("ab,abij->ij", self.model.coupling(settings), own_BBUU)
        over_coupling_BB = np.einsum("abij,ij->ab", own_BBUU, kernels.all_UU)
        over_earlier_K = 2.0 * np.einsum("kij,ij->k", kernels.earlier_KUU, over_kernel_UU)
        scaled_DUU = kernels.main_DUU * np.exp(-settings.main_D)[:, None, None]
        others_DUU = np.exp(settings.interaction) * (scaled_DUU.sum(axis=0) - scaled_DUU)
        over_main_D = np.einsum(
            "dij,ij->d", 2.0 * kernels.main_DUU + scaled_DUU * others_DUU, over_kernel_UU
        )
        over_factor_BB = 2.0 * over_coupling_BB @ _coupling_factor(settings)
        over_bows = over_factor_BB[2, 2] + 0.5 * over_factor_BB[3, 3]
        return np.append(over_earlier_K, over_main_D), {
            "interaction": float((kernels.pairs_UU * over_kernel_UU).sum()),
            "early_slope": float(over_factor_BB[1, 0]),
            "early_spread": float(over_factor_BB[1, 1] * np.exp(settings.early_spread)),
            "bow": float(over_bows * np.exp(settings.bow)),
            "length": self._over_length(settings, kernels.all_UU, over_kernel_UU),
        }

    def _over_shared_curve(self, settings: Settings, basis_TB: Array, slope_LL: Array) -> float:
        step, size = 1e-5, PARTS * len(self.tried)
        bent_TB = basis(self.model.epochs, settings.bend + step)
        before_TT, after_TT = (self.model.curve_covariance(one) for one in (basis_TB, bent_TB))
        return float((slope_LL[size:, size:] * (after_TT - before_TT)).sum()) / step

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
    ends when what is left of the kernel is below `_JITTER`. Where there are ranges it may not end;
    the first `_MOST_SPANNING` then stand for all, and the others' data for what these explain.
    """
    if len(kernel_UU) == 0:
        return np.zeros(0, dtype=np.int64), np.zeros((0, 0))
    packed_UU, pivots_U, rank, _ = dpstrf(kernel_UU, lower=1, tol=_JITTER)
    rank = min(rank, _MOST_SPANNING)
    return pivots_U[:rank].astype(np.int64) - 1, np.tril(packed_UU[:rank, :rank])


class _White(NamedTuple):
    """The latent values as white ones times factors.

    f, d, b and c of U are by factor_BB and spans_VU', and m is by factor_TT. V of the tried
    configurations span all others.
    """

    pivots_V: Integers
    factor_VV: Array
    factor_BB: Array
    factor_TT: Array
    spans_VG: Array
    spans_VU: Array

    @classmethod
    def of(cls, model: CurveModel, tried: Integers, basis_TB: Array) -> Self:
        """For the model's present settings."""
        settings = model.settings
        pivots_V, factor_VV = _span(model.kernel(settings, tried, tried))
        every = np.arange(len(model.places_GD))
        kernel_VG = model.kernel(settings, tried[pivots_V], every)
        spans_VG = solve_triangular(factor_VV, kernel_VG, lower=True)
        curve_TT = model.curve_covariance(basis_TB) + _JITTER * np.eye(model.epochs)
        return cls(
            pivots_V,
            factor_VV,
            _coupling_factor(settings)[:, ::-1],
            np.linalg.cholesky(curve_TT),
            spans_VG,
            spans_VG[:, tried],
        )

    def precision(self, own_BBU: Array) -> Array:
        """(W, W) of the white values, by prior and data."""
        own_BBU = np.einsum("ca,ceu,eb->abu", self.factor_BB, own_BBU, self.factor_BB)
        blocks = [[(self.spans_VU * own_U) @ self.spans_VU.T for own_U in row] for row in own_BBU]
        precision_WW: Array = np.block(blocks)
        precision_WW[np.diag_indices_from(precision_WW)] += 1.0
        return precision_WW

    def divided_by(self, factor_WW: Array) -> list[Array]:
        """Of f, d, ... the covariance with the white values, divided by a lower factor of W.

        As the white values of f come last and those of d before them, the first rows of the result
        are zeros for f, fewer for d, ...; they are left out.
        """
        lefts = []
        for part, factors_B in enumerate(self.factor_BB):
            first = PARTS - 1 - part
            white_WG = np.concatenate([one * self.spans_VG for one in factors_B[first:]])
            begin = first * len(self.pivots_V)
            lefts.append(solve_triangular(factor_WW[begin:, begin:], white_WG, lower=True))
        return lefts

    def given(self, data: _Information) -> "_Given":
        """The white values by prior and data."""
        size, epochs = PARTS * len(self.pivots_V), len(self.factor_TT)
        tried = self.spans_VU.shape[1]
        shared_BUT = np.einsum("ab,aut->but", self.factor_BB, data.shared_BUT)
        shared_BVT = self.spans_VU @ shared_BUT @ self.factor_TT
        inner_LL = np.eye(size + epochs)
        inner_LL[:size, :size] = self.precision(data.own_BBU)
        inner_LL[:size, size:] = shared_BVT.reshape(size, epochs)
        inner_LL[size:, :size] = inner_LL[:size, size:].T
        inner_LL[size:, size:] += self.factor_TT.T @ data.curve_TT @ self.factor_TT
        shift_BU = data.shift_L[: PARTS * tried].reshape(PARTS, tried)
        shift_BV = self.factor_BB.T @ shift_BU @ self.spans_VU.T
        shift_T = self.factor_TT.T @ data.shift_L[PARTS * tried :]
        shift_L = np.concatenate([shift_BV.ravel(), shift_T])
        factor_LL, _ = cho_factor(inner_LL, lower=True)
        return _Given(cho_solve((factor_LL, True), shift_L), factor_LL)

    def of_curve(self, row: int, basis_TB: Array) -> Array:
        """(T, L) what each white value does to a configuration's curve."""
        parts_TB = basis_TB @ self.factor_BB
        added_TBV = parts_TB[:, :, None] * self.spans_VG[:, row]
        result: Array = np.hstack([added_TBV.reshape(len(basis_TB), -1), self.factor_TT])
        return result


class _Given(NamedTuple):
    """Posterior mean of the white values, those of m the last, and a factor of their precision."""

    mean_L: Array
    factor_LL: Array


class Posterior:
    """What the data say of every configuration.

    The means take all uncertainty into account. The variances are those that would be left if the
    shared curve were known: it is what a trial's late epochs are measured against, and whoever
    counted it as unknown would never want to see the first of them.

    Attributes:
        mean_G: Expected R@1 at the last epoch, in percent.
        pivots: V tried configurations that the model knows all others by.
        weights_BV: Of each of these in f, d, b and c of any configuration, by the kernel between.
        own_GBB: Covariance of f, d, b and c of each configuration.
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
        groups = _by_length(curves, row_of, model.means_GB)
        data = _inform(groups, len(tried), model.epochs, noise)

        white = _White.of(model, tried, noise.basis_TB)
        self.pivots: Integers = tried[white.pivots_V]
        self._white, self._given = white, white.given(data)
        white_BV, white_T = np.split(self._given.mean_L, [PARTS * len(white.pivots_V)])
        white_BV = white.factor_BB @ white_BV.reshape(PARTS, -1)
        self.weights_BV = solve_triangular(white.factor_VV, white_BV.T, lower=True, trans="T").T
        last = float(white.factor_TT[-1] @ white_T)
        self.mean_G: Array = model.means_GB[:, 0] + white_BV[0] @ white.spans_VG + last

        own_BBU = data.own_BBU.copy()
        for trial in pending:
            own_BBU[:, :, row_of[trial.configuration]] += self.foresee(trial.before, trial.after)
        # Posterior = prior − white'·white + left'·left, white being the prior covariance with the
        # latent values divided by the prior's factor, and left that divided by the inner factor.
        self._lefts = white.divided_by(np.linalg.cholesky(white.precision(own_BBU)))
        self._rest_G = model.variance(settings) - (white.spans_VG**2).sum(axis=0)
        self.own_GBB: Array = self._rest_G[:, None, None] * model.coupling(settings)
        for one, two in combinations_with_replacement(range(PARTS), 2):
            shared = len(self._lefts[one])
            left_G = np.einsum("wg,wg->g", self._lefts[one], self._lefts[two][-shared:])
            self.own_GBB[:, one, two] += left_G
            self.own_GBB[:, two, one] = self.own_GBB[:, one, two]

    def curve(self, row: int) -> tuple[Array, Array]:
        """A configuration's R@1 after each epoch, in percent, without the luck of a seed.

        Returns:
            Its mean (T,) and covariance (T, T); here the shared curve counts as unknown.
        """
        basis_TB = self._luck.noise.basis_TB
        white_TL = self._white.of_curve(row, basis_TB)
        mean_T = basis_TB @ self._model.means_GB[row] + white_TL @ self._given.mean_L
        left_LT = solve_triangular(self._given.factor_LL, white_TL.T, lower=True)
        rest_BB = self._rest_G[row] * self._model.coupling(self._settings)
        return mean_T, left_LT.T @ left_LT + basis_TB @ rest_BB @ basis_TB.T

    def best_but(self, barred: Sequence[int]) -> int:
        """The configuration with the highest mean of those that aren't barred."""
        mean_G = self.mean_G.copy()
        mean_G[list(barred)] = -np.inf
        return int(mean_G.argmax())

    def deviations_from(self, best: int) -> Array:
        """(G,) standard deviation of each f less that of one configuration."""
        f_f_G, with_best_G = self.own_GBB[:, 0, 0], self.covariance([best])[0, 0]
        variance_G = f_f_G - 2.0 * with_best_G + f_f_G[best]
        deviations_G: Array = np.sqrt(np.maximum(variance_G, _JITTER))
        return deviations_G

    def chance_of_beating(self, one: int) -> Array:
        """(G,) probability that a configuration's f is above that of one."""
        chances_G: Array = ndtr((self.mean_G - self.mean_G[one]) / self.deviations_from(one))
        return chances_G

    def covariance(self, rows: Sequence[int] | Integers) -> Array:
        """(B, R, G) covariance of f of some configurations, with f, d, b and c of all."""
        every, rows_R = np.arange(len(self.mean_G)), np.asarray(rows)
        spans_VG, left_VG = self._white.spans_VG, self._lefts[0]
        rest_RG = self._model.kernel(self._settings, rows_R, every)
        rest_RG -= spans_VG[:, rows_R].T @ spans_VG
        left_RV = left_VG[:, rows_R].T
        return np.stack(
            [
                coupling * rest_RG + left_RV @ left_WG[-len(left_VG) :]
                for coupling, left_WG in zip(
                    self._model.coupling(self._settings)[0], self._lefts, strict=True
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
        rows_R = np.unique([answer, *rivals[np.argsort(-hopes_G[rivals])[:_HOPEFUL]]])
        covariance_RR = self.covariance(rows_R)[0][:, rows_R]
        covariance_RR[np.diag_indices_from(covariance_RR)] += _JITTER
        factor_RR = np.linalg.cholesky(covariance_RR)
        return self._chance_ahead(rows_R, factor_RR, answer, delta, rng)

    def chance_of_overtaking(
        self,
        later: "Posterior | None",
        answer: int,
        rivals: Sequence[int],
        delta: float,
        rng: np.random.Generator,
    ) -> float:
        """Probability that some configuration's mean will exceed that of one by ``delta``.

        The means move by what the data to come take away of today's uncertainty.

        Args:
            later: The same curves, with the epochs to come pending; None for so many that nothing
                stays uncertain.
            answer: That one.
            rivals: The configurations that count.
            delta: In points of R@1.
            rng: Source of `_SAMPLES` samples.
        """
        rows_R = np.unique([answer, *rivals])
        gained_RR = self.covariance(rows_R)[0][:, rows_R]
        if later is not None:
            gained_RR = gained_RR - later.covariance(rows_R)[0][:, rows_R]
        variances_R, axes_RR = np.linalg.eigh(0.5 * (gained_RR + gained_RR.T))
        factor_RR = axes_RR * np.sqrt(np.maximum(variances_R, 0.0))
        return self._chance_ahead(rows_R, factor_RR, answer, delta, rng)

    def _chance_ahead(
        self,
        rows_R: Integers,
        factor_RR: Array,
        answer: int,
        delta: float,
        rng: np.random.Generator,
    ) -> float:
        """Probability that one of some configurations is ahead of the answer, itself one of them.

        Their covariance is factor_RR · factor_RR'.
        """
        f_RX = self.mean_G[rows_R, None] + factor_RR @ rng.normal(size=(len(rows_R), _SAMPLES))
        ahead_X = f_RX.max(axis=0) - f_RX[int(np.flatnonzero(rows_R == answer)[0])]
        return float((ahead_X > delta).mean())

    def foresee(self, before: int, after: int) -> Array:
        """(B, B) precision that a trial's epochs ``before`` + 1 to ``after`` bring."""
        return self._luck.foresee(before, after)
