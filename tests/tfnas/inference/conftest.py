import pytest
import scipy.linalg  # noqa: F401  loaded here, so that its threads too are limited
import threadpoolctl


@pytest.fixture(scope="module")
def one_thread():
    # BLAS threads that wait for a busy core make matrices this small hundreds of times slower.
    with threadpoolctl.threadpool_limits(1):
        yield
