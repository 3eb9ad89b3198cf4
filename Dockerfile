# One image for web, worker and beat; docker-compose.yml holds their commands.
FROM python:3.11-slim AS build
RUN python -m venv /venv
COPY requirements.lock .
RUN /venv/bin/pip install --no-cache-dir --require-hashes --no-deps --only-binary :all: -r requirements.lock

FROM python:3.11-slim
RUN useradd --system --create-home waybill
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=build /venv /venv
COPY . .
USER waybill
EXPOSE 8000
CMD ["python", "manage.py", "help"]
