"""An ETL flow as Prefect 1 users write it, with only its imports changed: retries, mapping, a reduce.

python examples/prefect1/etl.py
"""

from datetime import timedelta

from tocsin import Flow, Parameter, context, flatten, task, unmapped


@task
def list_pages(count: int) -> list[int]:
    return list(range(1, count + 1))


@task(max_retries=3, retry_delay=timedelta(seconds=1))
def extract(page: int) -> list[dict[str, int]]:
    if page == 2 and context.task_run_count == 1:
        raise ConnectionError("page 2: the source answered 503, try again")
    return [{"id": 10 * page + n, "cents": 100 * page + n} for n in range(2)]


@task
def transform(row: dict[str, int], rate: float) -> float:
    return round(row["cents"] * rate / 100, 2)


@task
def load(amounts: list[float]) -> float:
    logger = context.get("logger")
    logger.info("%d rows loaded", len(amounts))
    return round(sum(amounts), 2)


with Flow("prefect1-etl") as flow:
    pages = Parameter("pages", default=3)
    rate = Parameter("rate", default=2)
    rows = extract.map(list_pages(pages))
    amounts = transform.map(flatten(rows), rate=unmapped(rate))
    total = load(amounts)


if __name__ == "__main__":
    state = flow.run()
    print(state, state.result[total].result)
