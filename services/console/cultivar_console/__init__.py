"""Console: the web pages of Cultivar; it owns who is signed in, and no rule."""
