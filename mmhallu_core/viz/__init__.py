"""Pictures of results: functions take data and return a matplotlib `Figure`; none of them shows or saves it."""
