"""Things with one fault each, which prove that the kit notices."""
