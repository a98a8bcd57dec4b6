"""The energy landscape of a crystal as its ions feel it: how far a force reaches."""
