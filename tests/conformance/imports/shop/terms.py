"""Is imported when a function is called."""

from shop import rules

PLACES = sorted(rules.RATES)
