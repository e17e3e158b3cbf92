"""The only code that knows the REST API of Cockpit and Dumbella."""
