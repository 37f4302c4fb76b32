"""Tables and figures of papers as experiments: a folder for each paper, one runner for all.

A table or figure is one entry of its paper's `experiments.py` and one function from inputs to rows, figure and notes;
what the paper prints stands in `facts.json` beside it.
"""
