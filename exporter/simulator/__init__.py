"""A stand-in for Cockpit and Dumbella that runs real processes."""
