"""A Gulfstream delegate: every labelled Namespace gets the baseline of its profile."""
