"""Countries as the user may write them, turned into what ``assigncountrytogroup`` takes."""

from __future__ import annotations

from airflow_provider_afilnet.api.errors import AfilnetInvalidRequestError


def country_code(country: str) -> str:
    """Turn a country into its ISO 3166 alpha-3 code in lower case.

    Digits are refused, because ``34`` could be meant as a dialling code; nothing is guessed from a similar name.

    :param country: ISO 3166 alpha-3 (``ESP``), alpha-2 (``ES``) or the English name (``Spain``), in any case.
    :raises AfilnetInvalidRequestError: if it is none of them.
    """
    text = country.strip() if isinstance(country, str) else ""
    found = None
    if text and not text.isdecimal():
        import pycountry

        try:
            found = pycountry.countries.lookup(text)
        except LookupError:
            found = None
    if found is None:
        raise AfilnetInvalidRequestError(
            f"country {country!r} is not known; give its ISO 3166 alpha-3 code such as 'ESP', its alpha-2 code such as "
            "'ES', or its English name such as 'Spain'."
        )
    return str(found.alpha_3).lower()
