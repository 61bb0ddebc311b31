"""Floors: the least any design has to do, as a lean program without promises."""
