"""Consumes results and events; the only room that knows ipywidgets and matplotlib."""
