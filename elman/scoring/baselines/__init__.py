"""The baselines that a recurrent model has to beat: simple, strong models of each field."""
