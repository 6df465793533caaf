"""A notebook, for what its magic says of clusters."""

from tests.magics.conftest import notebook as notebook
