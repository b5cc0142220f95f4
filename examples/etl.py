"""A nightly load: one task is flaky and recovers by itself, one fails for good.

tocsin run examples/etl.py            # ends Failed; whoever is named in tocsin.toml hears of it
tocsin run examples/etl.py -p fixed=true    # the next run: everybody who heard of the failure hears of the recovery
"""

from datetime import timedelta

from tocsin import Flow, Parameter, task

_calls = {"extract": 0}


@task(max_retries=2, retry_delay=timedelta(seconds=1), tags={"source"})
def extract() -> list[dict[str, int]]:
    """Read the rows; the first try of each process meets a busy server."""
    _calls["extract"] += 1
    if _calls["extract"] == 1:
        raise ConnectionError("the source answered 503, try again")
    return [{"id": 1, "amount": 40}, {"id": 2, "amount": -1}]


@task
def transform(rows: list[dict[str, int]]) -> list[int]:
    """Keep the amounts."""
    return [row["amount"] for row in rows]


@task(tags={"prod", "tier1"})
def load(amounts: list[int], fixed: bool) -> int:
    """Write them, unless one of them cannot be right."""
    if min(amounts) < 0 and not fixed:
        raise ValueError(f"row 2 has the amount {min(amounts)}: nothing was written")
    return len(amounts)


@task
def report(written: int) -> None:
    """Say how much was written."""
    print(f"{written} rows written")


with Flow("etl") as flow:
    fixed = Parameter("fixed", default=False)
    report(load(transform(extract()), fixed))


if __name__ == "__main__":
    flow.run()
