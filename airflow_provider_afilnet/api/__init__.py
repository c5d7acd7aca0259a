"""Floor 1: the Afilnet Contacts API. Usable, and tested, without Airflow."""
