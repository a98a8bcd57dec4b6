"""What all chains share: submission, restarts, protocols and checks of inputs."""
