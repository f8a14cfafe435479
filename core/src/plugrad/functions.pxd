# The types of functions.py where it is compiled.

from .declared cimport _OpBase
from .handle cimport bind1, bind2
