# SPDX-License-Identifier: MIT
"""Turns orders into totals by customer and country. Event {"orders": [{"customer", "country", "lines": [{"price",
"count"}]}]}, or {"generate": n} for n orders made here."""
import json


def generate(n):
    return [
        {
            "customer": f"customer {i % 17}",
            "country": ("DE", "FR", "NL", "PL")[i % 4],
            "lines": [{"price": (i * 37 + k * 11) % 100 / 4, "count": k + 1} for k in range(3)],
        }
        for i in range(n)
    ]


def handler(event, context):
    orders = event.get("orders")
    if orders is None:
        orders = json.loads(json.dumps(generate(event.get("generate", 100))))
    customers, countries = {}, {}
    for order in orders:
        total = sum(line["price"] * line["count"] for line in order["lines"])
        customers[order["customer"]] = customers.get(order["customer"], 0) + total
        countries[order["country"]] = countries.get(order["country"], 0) + total
    best = sorted(customers.items(), key=lambda item: (-item[1], item[0]))
    return {"orders": len(orders), "countries": countries, "best": dict(best[:5])}
