"""`python -m pywasm_filter.cli`."""

from pywasm_filter.cli import main

main()
