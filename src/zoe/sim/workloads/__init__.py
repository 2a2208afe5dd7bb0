"""Where the jobs of a simulation come from: logs, tables, scenarios, a generator, our history."""
