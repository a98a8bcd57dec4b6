"""Numbers that no physics allows."""

#: Highest temperature in K that is accepted anywhere: matter is a plasma long before.
HOTTEST = 1e5
