"""The baseline of the literature: TF-IDF of 5,000 features and a random forest."""

from __future__ import annotations

from typing import Any, Final

_FEATURES_MAX: Final = 5_000
_TREES: Final = 300
_SEED: Final = 7


def forest(jobs: int = 1) -> Any:
    """Not fitted yet; ``jobs`` are the processors that fitting may use."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline

    trees = RandomForestClassifier(n_estimators=_TREES, random_state=_SEED, n_jobs=jobs)
    return make_pipeline(TfidfVectorizer(max_features=_FEATURES_MAX), trees)
