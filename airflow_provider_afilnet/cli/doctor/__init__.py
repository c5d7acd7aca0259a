"""``afilnet doctor``: asks a real account what the API's documents leave open, in a scratch group, and cleans up."""
