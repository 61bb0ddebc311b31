# Two images from one file: `--target operator` and `--target app` (API, relay, worker, Flower, migration: the command picks the role).
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN ["python3", "-m", "venv", "/opt/venv"]
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /src
COPY pyproject.toml constraints.txt ./
# Dependencies before the code, so that a change of the code alone takes seconds.
RUN mkdir -p operator app worker && pip install --quiet --constraint constraints.txt "setuptools>=77"

FROM build AS build-operator
RUN pip install --quiet --constraint constraints.txt ".[operator]"
COPY operator operator
RUN pip install --quiet --no-deps --no-build-isolation --force-reinstall . && pip uninstall --quiet --yes setuptools pip

FROM build AS build-app
RUN pip install --quiet --constraint constraints.txt ".[app]"
COPY app app
COPY worker worker
RUN pip install --quiet --no-deps --no-build-isolation --force-reinstall . && pip uninstall --quiet --yes setuptools pip

FROM ${PYTHON_IMAGE} AS runtime
# USER: the numeric uid has no entry in passwd, and kopf asks for a name.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp USER=fibpipeline
WORKDIR /tmp
USER 10001:10001

FROM runtime AS operator
COPY --from=build-operator /opt/venv /opt/venv
EXPOSE 8080 9090
ENTRYPOINT ["python", "-m", "fiboperator"]

FROM runtime AS app
COPY --from=build-app /opt/venv /opt/venv
EXPOSE 8000 9000 5555
CMD ["python", "-m", "fibapp", "api"]
