"""Spaces, as the tests of the search have them."""

from tests.search.conftest import make_space as make_space
