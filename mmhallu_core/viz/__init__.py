"""Pictures of results: functions take data and give a matplotlib `Figure`, or a `Player` for a widget."""
