"""The provider in Airflow's web interface, in a real browser. Pictures are left in ``build/standalone/pictures``."""

from __future__ import annotations

from urllib.parse import urlsplit

from airflow_pages import DIALOG, MESSAGE, Pages, labelled
from selenium.webdriver.common.keys import Keys
from task_logs import PASSWORD

CONN = "afilnet_shop"
REFRESH = "afilnet_refresh_customers"
STANDARD_LABELS = ["Base URL", "Afilnet user", "Password", "Port", "Scheme"]
PLACEHOLDERS = {
    "host": "https://www.afilnet.com (default)",
    "login": "user or e-mail",
    "schema": "https, unless the base URL has one",
    "port": "443; the test icon of Airflow 3.3 needs one",
}
EXTRA_LABELS = [
    "API style",
    "Time-out (s)",
    "Connections",
    "Requests per second",
    "CA bundle",
    "API facts",
    "Allow plain http",
    "WSDL URL",
    "JSON URL",
    "Token URL",
    "OAuth grant",
    "OAuth client id",
    "OAuth client secret",
    "OAuth scope",
]


def test_the_connection_form_and_the_test_of_a_saved_connection(world, pages: Pages) -> None:
    where = urlsplit(world.sandbox.url)
    pages.open("connections", height=1000)
    pages.click("//button[contains(., 'Add Connection')]")
    pages.write("connection_id", CONN)
    pages.click(f"({DIALOG}//*[@role='combobox'])[1]")
    pages.browser.switch_to.active_element.send_keys("Afilnet", Keys.ENTER)
    form = pages.find(DIALOG)
    pages.until(lambda: "Afilnet user" in form.text, "the form of an Afilnet connection")
    assert [
        label for label in ("Base URL", "Afilnet user", "Password", "Port", "Scheme") if label not in form.text
    ] == []
    placeholders = {
        name: pages.field(name).get_attribute("placeholder") for name in ("host", "login", "schema", "port")
    }
    assert placeholders["host"] == "https://www.afilnet.com (default)"
    assert all(placeholders.values())
    assert pages.field("password").get_attribute("type") == "password"
    pages.write("host", f"http://{where.hostname}")
    pages.write("login", world.sandbox.user)
    pages.write("password", "not-" + PASSWORD)
    pages.write("port", str(where.port))
    pages.picture("connection-form")

    pages.section("Extra Fields")
    assert [label for label in EXTRA_LABELS if label not in form.text] == []
    assert pages.field("element_client_secret").get_attribute("type") == "password"
    pages.click(f"({DIALOG}//*[@role='combobox' and not(@disabled)])[last()-1]")
    styles = [option.text for option in pages.seen("//*[@role='option']")]
    assert styles == ["post", "get", "basic", "basic-get", "soap", "json"]
    pages.picture("connection-extras")
    pages.browser.switch_to.active_element.send_keys("basic", Keys.ENTER)
    pages.save()

    saved = world.airflow.call("GET", f"/connections/{CONN}")
    assert '"api_style": "basic"' in saved["extra"]
    assert PASSWORD not in str(saved)
    assert "user or password are wrong" in pressed(pages, "connection-test-refused")
    assert world.sandbox.calls[-1].style == "basic"
    pages.click(row(labelled("Edit Connection")))
    assert pages.field("password").get_attribute("value") == "***"
    pages.write("password", PASSWORD)
    pages.save()
    assert "the account has" in pressed(pages, "connection-test")


def row(what: str) -> str:
    """Where this is in the connection's row."""
    return f"//tr[contains(., '{CONN}')]{what}"


def pressed(pages: Pages, picture: str) -> str:
    """Press the saved connection's test icon, and answer the message."""
    pages.open("connections", height=600)
    pages.click(row(labelled("Test Connection")))
    message = pages.find(f"{MESSAGE}[string-length(normalize-space()) > 0]").text
    pages.picture(picture)
    return message


def test_graph_asset_and_links_of_the_refresh(world, chain_ran, pages: Pages) -> None:
    group_id = chain_ran["group_id"]
    run = world.airflow.runs(REFRESH)[-1]["dag_run_id"]
    pages.open("dags", REFRESH, "runs", run)
    pages.click(labelled("Show Graph (Press g)"))
    nodes = "//*[contains(@class, 'react-flow__node')]"
    for task in ("create_group", "assign_country", "refresh", "read_back"):
        pages.find(f"{nodes}[contains(., '{task}') and contains(., 'success')]")
    pages.picture("dag-graph")

    assets = world.airflow.call("GET", "/assets", limit=100)["assets"]
    asset = next(asset for asset in assets if asset["uri"] == f"afilnet://group/{group_id}")
    pages.open("assets", str(asset["id"]))
    for dag_id in ("load_customers", REFRESH, "afilnet_customers_campaign"):
        pages.find(f"{nodes}[contains(., '{dag_id}')]")
    pages.find(f"//*[contains(., 'Source:')]/following::a[contains(., '{REFRESH}')]")
    pages.picture("asset")

    pages.open("dags", REFRESH, "runs", run, "tasks", "refresh", "details")
    assert pages.find("//a[normalize-space()='Afilnet group']").get_attribute("href") == (
        f"https://panel.example.com/groups/{group_id}"
    )
    report = pages.find("//a[normalize-space()='Afilnet report']").get_attribute("href")
    assert report.startswith("https://files.example.com/reports/")
    pages.picture("task-links")
