"""Every operator once, on a group that is made for it and deleted at the end."""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG, task

from airflow_provider_afilnet.operators.contacts import (
    AfilnetAddContactListOperator,
    AfilnetAddContactOperator,
    AfilnetDeleteContactOperator,
    AfilnetGetContactOperator,
    AfilnetGetContactsOperator,
    AfilnetModifyContactOperator,
    AfilnetUpsertContactsOperator,
)
from airflow_provider_afilnet.operators.groups import (
    AfilnetAddGroupColumnOperator,
    AfilnetAssignCountryOperator,
    AfilnetCreateGroupOperator,
    AfilnetDeleteGroupColumnOperator,
    AfilnetDeleteGroupOperator,
    AfilnetGetGroupColumnsOperator,
)

with DAG(
    dag_id="afilnet_all_operators",
    description="One task for each method of the API.",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    catchup=False,
    tags=["afilnet", "example"],
) as dag:
    # [START howto_groups]
    group = AfilnetCreateGroupOperator(
        task_id="create_group", name="Example", group_type="mobile", fields="mobile,name"
    )
    country = AfilnetAssignCountryOperator(task_id="assign_country", group_id=group.output, country="Spain")
    add_column = AfilnetAddGroupColumnOperator(task_id="add_column", group_id=group.output, field="city")
    columns = AfilnetGetGroupColumnsOperator(task_id="get_columns", group_id=group.output)
    # [END howto_groups]

    # [START howto_contacts]
    add = AfilnetAddContactOperator(
        task_id="add_contact",
        group_id=group.output,
        contact={"mobile": "34600000001", "name": "Ana"},
        if_exists="skip",
    )
    add_list = AfilnetAddContactListOperator(
        task_id="add_contact_list",
        group_id=group.output,
        contacts=[{"mobile": "34600000002", "name": "López, José"}, {"mobile": "34600000003", "name": "Eva"}],
    )
    upsert = AfilnetUpsertContactsOperator(
        task_id="upsert_contacts",
        group_id=group.output,
        contacts=[{"mobile": "+34 600 00 00 03", "city": "Vigo"}, {"mobile": "+34 600 00 00 04", "city": "Lugo"}],
    )
    get_contacts = AfilnetGetContactsOperator(task_id="get_contacts", group_id=group.output)

    @task
    def id_of(contacts: list[dict[str, str]], mobile: str) -> str:
        """The id under which the group holds a phone."""
        return next(contact["idcontact"] for contact in contacts if contact["mobile"] == mobile)

    eva = id_of(get_contacts.output, "34600000003")
    get_contact = AfilnetGetContactOperator(task_id="get_contact", group_id=group.output, contact_id=eva)
    modify = AfilnetModifyContactOperator(
        task_id="modify_contact",
        group_id=group.output,
        contact_id=eva,
        contact={"mobile": "34600000003", "name": "Eva María", "city": "Vigo"},
    )
    delete = AfilnetDeleteContactOperator(
        task_id="delete_contact", group_id=group.output, contact_id=eva, ignore_missing=True
    )
    # [END howto_contacts]

    drop_column = AfilnetDeleteGroupColumnOperator(task_id="delete_column", group_id=group.output, field="city")
    drop_group = AfilnetDeleteGroupOperator(task_id="delete_group", group_id=group.output, ignore_missing=True)

    country >> add_column >> columns >> add >> add_list >> upsert >> get_contacts
    get_contact >> modify >> delete >> drop_column >> drop_group
