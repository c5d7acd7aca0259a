"""Airflow Assets of Afilnet."""
