"""``python -m airflow_provider_afilnet.cli`` is the same as ``afilnet``."""

from __future__ import annotations

from airflow_provider_afilnet.cli.main import main

if __name__ == "__main__":
    main(prog_name="afilnet")
