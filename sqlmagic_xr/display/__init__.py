"""Consumes results and events; the only room that knows anywidget and matplotlib."""
