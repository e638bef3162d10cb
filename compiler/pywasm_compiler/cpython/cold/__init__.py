"""Functions that rarely run, kept as a compact code in memory and interpreted.

Proxies compile every function of a module with their best optimiser before they accept it, which takes seconds for all
of CPython. Most of its functions never run in a filter, but which ones cannot be known: so they stay, in a form that
costs nothing until it runs. `translation` makes the compact code of a function's body, `interpreter` makes the function
that runs it, and `image` puts both together for the functions of a linked module.
"""
