"""MED's data pipeline, stage by stage: pictures are read, edited, compared, described and written as records."""
