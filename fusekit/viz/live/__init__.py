"""The live view: the widget, the call that it runs again, what it tried."""
