"""The posterior of every configuration's curve, and the probabilities that follow from it."""

# G = configurations, T = epochs of a full run, V = configurations that span all others,
# B = parts of what a configuration adds: f, d, b, c; W = white values of these: B of V;
# E = effects of a fold, F = folds; Z = values that trials share: m of T, E of F;
# L = white values of B of V, and of Z; R = some configurations; X = samples

from collections.abc import Sequence
from itertools import combinations_with_replacement

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import ndtr

from histsearch.freeze_thaw.arrays import JITTER, Array, Integers
from histsearch.freeze_thaw.curve_basis import EFFECTS, PARTS, coupling
from histsearch.freeze_thaw.curve_model import CurveModel
from histsearch.freeze_thaw.information import Foreseen, by_length, inform
from histsearch.freeze_thaw.trials import Curve, Pending
from histsearch.freeze_thaw.white_values import WhiteValues

_SAMPLES = 1000
_HOPEFUL = 256  # configurations that samples are drawn of: those whose hope is highest,
_HOPE = 2.0  # their mean and so many standard deviations


class Posterior:
    """What the data say of every configuration.

    The means take all uncertainty into account. The variances are those that would be left if the
    shared curve were known: it is what a trial's late epochs are measured against, and whoever
    counted it as unknown would never want to see the first of them. So is the mean of the folds'
    effects, but not how these differ: trials of different folds do by as much.

    Attributes:
        mean_G: Expected R@1 at the last epoch, in percent, the mean over folds.
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
        self._seed_effects = model.seed_effects()
        noise = self._seed_effects.noise
        groups = by_length(curves, row_of, model.means_GB)
        data = inform(groups, len(tried), model.epochs, noise, model.folds)

        white = WhiteValues.of(model, tried, noise.basis_TB)
        self.pivots: Integers = tried[white.pivots_V]
        self._white, self._given = white, white.given(data)
        white_BV, white_Z = np.split(self._given.mean_L, [PARTS * len(white.pivots_V)])
        white_BV = white.factor_BB @ white_BV.reshape(PARTS, -1)
        self.weights_BV = solve_triangular(white.factor_VV, white_BV.T, lower=True, trans="T").T
        last = float(white.average_TZ[-1] @ white_Z)
        self.mean_G: Array = model.means_GB[:, 0] + white_BV[0] @ white.spans_VG + last

        foreseen = [
            Foreseen(row_of[one.configuration], one.fold, self.foresee(one.before, one.after))
            for one in pending
        ]
        known = data.with_foreseen(foreseen, model.epochs)
        # Posterior = prior − white'·white + left'·left, white being the prior covariance with the
        # latent values divided by the prior's factor, and left that divided by the inner factor.
        self._lefts = white.divided_by(np.linalg.cholesky(white.precision_of_own(known)))
        self._rest_G = model.kernel.variance(settings) - (white.spans_VG**2).sum(axis=0)
        self.own_GBB: Array = self._rest_G[:, None, None] * coupling(settings)
        for one, two in combinations_with_replacement(range(PARTS), 2):
            shared = len(self._lefts[one])
            left_G = np.einsum("wg,wg->g", self._lefts[one], self._lefts[two][-shared:])
            self.own_GBB[:, one, two] += left_G
            self.own_GBB[:, two, one] = self.own_GBB[:, one, two]

    def curve(self, row: int) -> tuple[Array, Array]:
        """A configuration's R@1 after each epoch, in percent, the mean over seeds and folds.

        Returns:
            Its mean (T,) and covariance (T, T); here the shared curve counts as unknown.
        """
        basis_TB = self._seed_effects.noise.basis_TB
        white_TL = self._white.of_curve(row, basis_TB)
        mean_T = basis_TB @ self._model.means_GB[row] + white_TL @ self._given.mean_L
        left_LT = solve_triangular(self._given.factor_LL, white_TL.T, lower=True)
        rest_BB = self._rest_G[row] * coupling(self._settings)
        return mean_T, left_LT.T @ left_LT + basis_TB @ rest_BB @ basis_TB.T

    def draw_weights(self, prior_VX: Array, rng: np.random.Generator) -> Array:
        """(V, X) weights, as `weights_BV` of f, that turn draws of its prior into the posterior's.

        Args:
            prior_VX: Draws of the prior of f at the pivots.
            rng: Source of what the data leave open, the shared curve among it.
        """
        size, number = len(self.pivots), prior_VX.shape[1]
        noise_LX = rng.normal(size=(len(self._given.mean_L), number))
        white_LX = solve_triangular(self._given.factor_LL, noise_LX, lower=True, trans="T")
        white_LX += self._given.mean_L[:, None]
        f_VX = white_LX[(PARTS - 1) * size : PARTS * size]  # the white values of f come last
        factor_VV = self._white.factor_VV
        f_VX = f_VX - solve_triangular(factor_VV, prior_VX, lower=True)
        weights_VX: Array = solve_triangular(factor_VV, f_VX, lower=True, trans="T")
        return weights_VX

    def fold_effects(self) -> Array:
        """(F,) points that each fold adds at the last epoch, less their mean."""
        epochs, factor_ZZ = self._model.epochs, self._white.factor_ZZ
        white_Z = self._given.mean_L[-len(factor_ZZ) :]
        effects_FE = (factor_ZZ @ white_Z)[epochs:].reshape(-1, EFFECTS)
        if len(effects_FE) == 0:
            return np.zeros(1)
        last_F: Array = effects_FE[:, 0] - effects_FE[:, 0].mean()
        return last_F

    def best_but(self, barred: Sequence[int]) -> int:
        """The configuration with the highest mean of those that aren't barred."""
        mean_G = self.mean_G.copy()
        mean_G[list(barred)] = -np.inf
        return int(mean_G.argmax())

    def deviations_from(self, best: int) -> Array:
        """(G,) standard deviation of each f less that of one configuration."""
        f_f_G, with_best_G = self.own_GBB[:, 0, 0], self.covariance([best])[0, 0]
        variance_G = f_f_G - 2.0 * with_best_G + f_f_G[best]
        deviations_G: Array = np.sqrt(np.maximum(variance_G, JITTER))
        return deviations_G

    def chance_of_beating(self, one: int) -> Array:
        """(G,) probability that a configuration's f is above that of one."""
        chances_G: Array = ndtr((self.mean_G - self.mean_G[one]) / self.deviations_from(one))
        return chances_G

    def covariance(self, rows: Sequence[int] | Integers) -> Array:
        """(B, R, G) covariance of f of some configurations, with f, d, b and c of all."""
        every, rows_R = np.arange(len(self.mean_G)), np.asarray(rows)
        spans_VG, left_VG = self._white.spans_VG, self._lefts[0]
        rest_RG = self._model.kernel.covariance(self._settings, rows_R, every)
        rest_RG -= spans_VG[:, rows_R].T @ spans_VG
        left_RV = left_VG[:, rows_R].T
        return np.stack(
            [
                coupling * rest_RG + left_RV @ left_WG[-len(left_VG) :]
                for coupling, left_WG in zip(coupling(self._settings)[0], self._lefts, strict=True)
            ]
        )

    def chance_of_better(
        self, winner: int, delta: float, rng: np.random.Generator, barred: Sequence[int] = ()
    ) -> float:
        """Probability that some configuration is better than one by more than ``delta``.

        By `_SAMPLES` samples of the configurations that may be.

        Args:
            winner: That one.
            delta: In points of R@1.
            rng: Source of the samples.
            barred: Configurations that don't count.
        """
        rivals = np.setdiff1d(np.arange(len(self.mean_G)), [winner, *barred])
        if len(rivals) == 0:
            return 0.0
        hopes_G = self.mean_G + _HOPE * self.deviations_from(winner)
        rows_R = np.unique([winner, *rivals[np.argsort(-hopes_G[rivals])[:_HOPEFUL]]])
        covariance_RR = self.covariance(rows_R)[0][:, rows_R]
        covariance_RR[np.diag_indices_from(covariance_RR)] += JITTER
        factor_RR = np.linalg.cholesky(covariance_RR)
        return self._chance_ahead(rows_R, factor_RR, winner, delta, rng)

    def chance_of_overtaking(
        self,
        later: "Posterior | None",
        winner: int,
        rivals: Sequence[int],
        delta: float,
        rng: np.random.Generator,
    ) -> float:
        """Probability that some configuration's mean will exceed that of one by ``delta``.

        The means move by what the data to come take away of today's uncertainty.

        Args:
            later: The same curves, with the epochs to come pending; None for so many that nothing
                stays uncertain.
            winner: That one.
            rivals: The configurations that count.
            delta: In points of R@1.
            rng: Source of `_SAMPLES` samples.
        """
        rows_R = np.unique([winner, *rivals])
        gained_RR = self.covariance(rows_R)[0][:, rows_R]
        if later is not None:
            gained_RR = gained_RR - later.covariance(rows_R)[0][:, rows_R]
        variances_R, axes_RR = np.linalg.eigh(0.5 * (gained_RR + gained_RR.T))
        factor_RR = axes_RR * np.sqrt(np.maximum(variances_R, 0.0))
        return self._chance_ahead(rows_R, factor_RR, winner, delta, rng)

    def _chance_ahead(
        self,
        rows_R: Integers,
        factor_RR: Array,
        winner: int,
        delta: float,
        rng: np.random.Generator,
    ) -> float:
        """Probability that one of some configurations is ahead of the winner, itself one of them.

        Their covariance is factor_RR · factor_RR'.
        """
        f_RX = self.mean_G[rows_R, None] + factor_RR @ rng.normal(size=(len(rows_R), _SAMPLES))
        ahead_X = f_RX.max(axis=0) - f_RX[int(np.flatnonzero(rows_R == winner)[0])]
        return float((ahead_X > delta).mean())

    def foresee(self, before: int, after: int) -> Array:
        """(B, B) precision that a trial's epochs ``before`` + 1 to ``after`` bring."""
        return self._seed_effects.foresee(before, after)
