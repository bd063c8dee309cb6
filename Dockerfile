# One image for every Airflow component; what a container is, its command says.
FROM python:3.11-slim

# PostgreSQL's server zones and the lock's wheels are all this needs; nothing is compiled.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates tini tzdata \
    && rm -rf /var/lib/apt/lists/* \
    && pip install --no-cache-dir uv \
    && useradd --uid 50000 --create-home --home-dir /var/lib/steadfast steadfast

WORKDIR /opt/steadfast
COPY pyproject.toml uv.lock README.md ./
RUN uv sync --frozen --no-dev --extra celery --extra embedded --no-install-project

COPY include include
COPY sql sql
COPY dags dags
COPY plugins plugins
COPY airflow.cfg ./
RUN uv sync --frozen --no-dev --extra celery --extra embedded \
    && mkdir -p /var/lib/steadfast/airflow/logs \
    && chown -R steadfast /var/lib/steadfast

ENV PATH=/opt/steadfast/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=2 \
    ARROW_DEFAULT_MEMORY_POOL=system \
    STEADFAST_HOME=/opt/steadfast \
    STEADFAST_STATE=/var/lib/steadfast \
    AIRFLOW_HOME=/var/lib/steadfast/airflow \
    AIRFLOW_CONFIG=/opt/steadfast/airflow.cfg \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/steadfast/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/steadfast/plugins
USER steadfast
ENTRYPOINT ["tini", "--"]
CMD ["airflow", "api-server"]
