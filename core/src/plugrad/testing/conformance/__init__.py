"""The conformance kit under pytest, for a backend and everything that the installed plugins bring::

    pytest --pyargs plugrad.testing.conformance --backend cpu [--quick] [--op NAME] [--layer NAME] [--report FILE]

Every check is a test of its own; ``plugrad.testing.checks`` gives the same checks to other programs.
"""
