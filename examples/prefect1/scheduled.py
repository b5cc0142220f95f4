"""A scheduled flow as Prefect 1 users write it, with only its imports changed: clocks, results, a target, a cache.

python examples/prefect1/scheduled.py    # once, now; flow.run() alone waits for the next weekday morning
"""

from datetime import timedelta

import pendulum

from tocsin import Flow, Parameter, task
from tocsin.cache_validators import all_inputs
from tocsin.results import LocalResult
from tocsin.schedules import Schedule, filters
from tocsin.schedules.clocks import CronClock
from tocsin.serializers import JSONSerializer

schedule = Schedule(
    clocks=[
        CronClock(
            "0 7 * * *",
            start_date=pendulum.datetime(2024, 1, 1, tz="Europe/Berlin"),
            parameter_defaults={"region": "eu"},
        ),
        CronClock(
            "0 7 * * *",
            start_date=pendulum.datetime(2024, 1, 1, tz="America/New_York"),
            parameter_defaults={"region": "us"},
        ),
    ],
    filters=[filters.is_weekday],
)

kept = LocalResult(dir="reports", validate_dir=False, serializer=JSONSerializer())


@task(cache_for=timedelta(hours=12), cache_validator=all_inputs)
def fetch_rate(currency: str) -> float:
    return {"EUR": 1.0, "USD": 0.5}[currency]


@task(result=LocalResult(dir="reports", validate_dir=False, location="{region}/sales.pickle"))
def fetch_sales(region: str) -> list[int]:
    return {"eu": [10, 20], "us": [30, 40, 50]}[region]


@task
def currency_of(region: str) -> str:
    return {"eu": "EUR", "us": "USD"}[region]


@task(result=kept, target="{region}/{today}.json")
def report(region: str, sales: list[int], rate: float) -> dict[str, str | float]:
    return {"region": region, "count": len(sales), "total": sum(sales) * rate}


with Flow("prefect1-scheduled", schedule=schedule) as flow:
    region = Parameter("region", default="eu")
    rate = fetch_rate(currency_of(region))
    sales = fetch_sales(region)
    daily = report(region, sales, rate)


if __name__ == "__main__":
    state = flow.run(run_on_schedule=False)
    print(state, state.result[daily].result)
