"""Physical quantities that many parameters share, with the range in which they can be what they say."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

#: Highest temperature in K: matter is a plasma beyond, and no potential describes it.
HOTTEST = 1e5
#: Highest pressure in GPa, beyond that in the centre of a giant planet.
HIGHEST_PRESSURE = 1e4
#: Longest time step in fs: a vibration of a framework takes some 50.
LONGEST_STEP = 1e3
#: Largest number of steps of a run.
MOST_STEPS = 10**12
#: Longest relaxation time in fs of a thermostat or barostat.
LONGEST_DAMPING = 1e9

Temperature = Annotated[float, Field(gt=0, le=HOTTEST)]
Pressure = Annotated[float, Field(ge=0, le=HIGHEST_PRESSURE)]
Timestep = Annotated[float, Field(gt=0, le=LONGEST_STEP)]
Steps = Annotated[int, Field(gt=0, le=MOST_STEPS)]
Damping = Annotated[float, Field(gt=0, le=LONGEST_DAMPING)]
