"""Conductivity from a diffusion coefficient."""

from __future__ import annotations

from scipy.constants import Boltzmann, elementary_charge

#: Boltzmann constant in eV/K.
BOLTZMANN_EV = Boltzmann / elementary_charge


def conductivity(diffusivity: float, ions: int, volume: float, temperature: float, charge: float = 1.0) -> float:
    """Return sigma = N z^2 e^2 D / (V k_B T) in mS/cm.

    The tracer coefficient gives the Nernst-Einstein conductivity, the collective one the ionic conductivity including
    correlations. The formula printed in section 2.5 of DPA-SSE omits N.

    :param diffusivity: D in cm^2/s.
    :param ions: number N of mobile ions in ``volume``.
    :param volume: V in A^3.
    :param temperature: T in K.
    :param charge: z in elementary charges.
    :raises ValueError: if volume, temperature or number of ions is not positive.
    """
    if volume <= 0 or temperature <= 0 or ions <= 0:
        raise ValueError(
            f'Volume ({volume} A^3), temperature ({temperature} K) and number of ions ({ions}) should be positive.'
        )
    density = ions / (volume * 1e-30)
    siemens_per_metre = density * (charge * elementary_charge) ** 2 * diffusivity * 1e-4 / (Boltzmann * temperature)
    return siemens_per_metre * 10.0
