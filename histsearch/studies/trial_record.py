"""Names of the attributes that a trial carries in the database, besides its parameters."""

from histsearch.search import freeze_thaw_trials

SEED = "seed"
"""Seed of everything random in the run. In a retraining it is a parameter of that name."""

FOLD = freeze_thaw_trials.FOLD
"""Fold that the trial validates on, from 0 on, where its search has several."""

BEST_EPOCH = "best_epoch"
"""Epoch (from 1) with the highest validation score, which is the trial's value."""

EPOCHS = "epochs"
"""Retraining: number of epochs to train."""

ROLE = "role"
"""Retraining: `TUNED` for one of the best configurations, `BASELINE` for one to compare with."""

TUNED = "tuned"
BASELINE = "baseline"

BASELINE_NAME = "baseline_name"
"""Retraining: name of the baseline; left out by earlier versions, which knew the first alone."""

ALSO_BASELINES = "also_baselines"
"""Retraining: names of the baselines that the configuration is as well, where it is some."""

SOURCE_TRIAL = "source_trial"
"""Retraining: number of the search's trial with the configuration; left out where there is none."""

RECALL = "recall"
"""Retraining: recall on the test classes by k (keys are strings, values fractions in [0, 1])."""

REASON = "reason"
"""Why the trial was pruned or failed, in words."""

PAUSED = freeze_thaw_trials.PAUSED
"""Whether the trial waits for the sampler to go on with it."""

TO_THE_END = freeze_thaw_trials.TO_THE_END
"""Whether the trial is the winner's, and isn't paused any more."""

DIVERGED = freeze_thaw_trials.DIVERGED
"""Whether its loss or embeddings became NaN or infinite."""

RETRIES = "retries"
"""How each failed attempt at the trial ended, in words; none of them cost the trial its result."""

FIGURES = "figures"
"""Retraining: further figures on the test classes by their label (fractions in [0, 1]).

They are NMI, R-Precision and MAP@R; a trial that an earlier version ran has none.
"""

EMBEDDINGS = "embeddings"
"""Retraining: the kept embeddings, a file on the machine of the worker or an s3:// address."""

CHECKPOINT = "checkpoint"
"""Retraining: the trained model, a file on the machine of the worker or an s3:// address."""

SECONDS = "seconds"
"""Seconds of a device from the claim to the outcome, all attempts together.

A second on one of N slots of a device counts 1/N; those for which a worker's process was suspended
don't count. So those of the epochs.
"""

WARMUP_SECONDS = freeze_thaw_trials.WARMUP_SECONDS
EPOCH_SECONDS = freeze_thaw_trials.EPOCH_SECONDS
"""Seconds of a device of each epoch, validation included."""

IMAGES_PER_SECOND = "images_per_second"
"""Training throughput, mean over the epochs."""

PEAK_MEMORY_MIB = "peak_memory_mib"
"""Peak of allocated GPU memory; without a GPU, of the process's resident memory so far."""

WORKER = "worker"
DEVICE = "device"
"""Name of the GPU, or of the processor."""

ACCELERATED = "accelerated"
"""Whether a GPU did the work, so that hours can be called GPU-hours."""

WEIGHTS = "weights"
"""What training began with: "pretrained" (the backbone's own), "none" or the path of a file."""

VERSIONS = "versions"
COMMIT = "commit"
"""Commit of the histsearch that ran the trial, "-dirty" if changed; None outside a checkout."""
