"""The tools that people use today, each run in an environment of its own, as its documentation shows it."""
