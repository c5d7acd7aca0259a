"""The Airflow hook, and what it shares with the triggers."""
