# One image for web, worker and beat; docker-compose.yml and deploy/kubernetes/ hold their commands and roles.
FROM python:3.11-slim AS build
RUN python -m venv /venv
COPY requirements.lock .
RUN /venv/bin/pip install --no-cache-dir --require-hashes --no-deps --only-binary :all: -r requirements.lock
COPY . /app
RUN /venv/bin/python -m compileall -q /app

FROM python:3.11-slim
RUN useradd --system --uid 10001 --create-home waybill
WORKDIR /app
# The root file system may be read-only: all that is ever written is below /tmp.
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 WAYBILL_ALIVE_FILE=/tmp/waybill-alive
COPY --from=build /venv /venv
COPY --from=build /app /app
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=40s --retries=3 CMD ["python", "config/healthy.py"]
CMD ["python", "manage.py", "help"]
