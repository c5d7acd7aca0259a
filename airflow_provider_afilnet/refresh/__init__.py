"""Floor 2: make a group equal a set of rows. Usable, and tested, without Airflow.

Start at :class:`airflow_provider_afilnet.refresh.engine.Refresh`.
"""
