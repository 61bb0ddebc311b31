"""The workers' number on a real cluster, by the backlog rule and by other rules, taking turns."""
