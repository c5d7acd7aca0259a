"""The command ``afilnet``: look at an account, run the sandbox, move contacts in and out. It needs no Airflow."""
