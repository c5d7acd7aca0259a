"""Apache Airflow provider for the Afilnet Contacts API (SMS, e-mail and voice contact groups)."""

from __future__ import annotations

__version__ = "0.1.0"
