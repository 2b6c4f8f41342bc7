"""Campaigns: the whole loop for one goal, as one durable plan over the other services, and its report."""
