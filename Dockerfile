# One image for web, worker and beat; docker-compose.yml holds their commands.
FROM python:3.11-slim AS build
RUN python -m venv /venv
COPY requirements.lock .
RUN /venv/bin/pip install --no-cache-dir --require-hashes --no-deps --only-binary :all: -r requirements.lock

FROM python:3.11-slim
RUN useradd --system --create-home waybill
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 STATIC_ROOT=/app/static
COPY --from=build /venv /venv
COPY . .
# Collecting static files reads the settings, but neither database nor broker.
RUN SECRET_KEY=build DATABASE_URL=postgresql://build@build/build BROKER_URL=redis://build \
    python manage.py collectstatic --noinput --verbosity 0
USER waybill
EXPOSE 8000
CMD ["python", "manage.py", "help"]
