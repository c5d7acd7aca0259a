"""DAG files of many tasks, as text: every operator and sensor of ours in turn, or as many of one of Airflow's own."""

from __future__ import annotations

from typing import Final

AIRFLOWS_OWN: Final = {
    "EmptyOperator": ("airflow.providers.standard.operators.empty", ""),
    "BashOperator": ("airflow.providers.standard.operators.bash", "bash_command='true'"),
}

_CONTACT: Final = "{'mobile': '34600000001', 'name': 'Ana'}"
OURS: Final = {
    "operators.groups": {
        "AfilnetCreateGroupOperator": "name='Example', group_type='mobile', fields='mobile,name'",
        "AfilnetGetGroupColumnsOperator": "group_id='1000'",
        "AfilnetAddGroupColumnOperator": "group_id='1000', field='city'",
        "AfilnetDeleteGroupColumnOperator": "group_id='1000', field='city'",
        "AfilnetDeleteGroupOperator": "group_id='1000'",
        "AfilnetAssignCountryOperator": "group_id='1000', country='Spain'",
    },
    "operators.contacts": {
        "AfilnetGetContactsOperator": "group_id='1000'",
        "AfilnetGetContactOperator": "group_id='1000', contact_id='1'",
        "AfilnetAddContactOperator": f"group_id='1000', contact={_CONTACT}",
        "AfilnetAddContactListOperator": f"group_id='1000', contacts=[{_CONTACT}]",
        "AfilnetModifyContactOperator": f"group_id='1000', contact_id='1', contact={_CONTACT}",
        "AfilnetDeleteContactOperator": "group_id='1000', contact_id='1'",
        "AfilnetUpsertContactsOperator": f"group_id='1000', contacts=[{_CONTACT}]",
    },
    "sensors.groups": {
        "AfilnetGroupExistsSensor": "group_id='1000', deferrable=True",
        "AfilnetGroupSizeSensor": "group_id='1000', min_contacts=10",
    },
    "transfers.sql_to_afilnet_group": {
        "SqlToAfilnetGroupOperator": "group_id='1000', sql='SELECT mobile FROM customers', sql_conn_id='warehouse'",
    },
}


def imports_of(kind: str) -> list[str]:
    """The modules that the DAG file of a kind imports its operators from."""
    return [f"airflow_provider_afilnet.{module}" for module in OURS] if kind == "ours" else [AIRFLOWS_OWN[kind][0]]


def dag_file(kind: str, tasks: int) -> str:
    """The text of a DAG file.

    :param kind: ``ours``, or a name of :data:`AIRFLOWS_OWN`.
    :param tasks: how many tasks its DAG has.
    """
    if kind == "ours":
        made = {name: arguments for names in OURS.values() for name, arguments in names.items()}
        imports = [
            f"from airflow_provider_afilnet.{module} import {', '.join(names)}" for module, names in OURS.items()
        ]
    else:
        module, arguments = AIRFLOWS_OWN[kind]
        made = {kind: arguments}
        imports = [f"from {module} import {kind}"]
    calls = list(made.items())
    lines = ["import pendulum", "from airflow.sdk import DAG", *imports]
    lines.append("with DAG('many', start_date=pendulum.datetime(2026, 1, 1, tz='UTC'), schedule=None):")
    for number in range(tasks):
        name, arguments = calls[number % len(calls)]
        lines.append(f"    {name}(task_id='task_{number}', {arguments})")
    return "\n".join(lines) + "\n"
