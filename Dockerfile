# Two images from one file: `--target operator` and `--target app` (API, relay, worker, Flower, migration: the command picks the role).
# `make image` names them fibpipeline.invalid/operator and fibpipeline.invalid/app, as the manifests do.
ARG PYTHON_IMAGE=python:3.13-slim

# setuptools stays in an environment of its own, so that it is not in the images. The dependencies and the code are
# separate layers: a change of the code alone is built, and travels to the nodes, in seconds.
FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_QUIET=1 PIP_CONSTRAINT=/src/constraints.txt PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python3 -m venv --without-pip /opt/build && python3 -m venv --without-pip /opt/venv && mkdir operator app worker
COPY pyproject.toml constraints.txt ./
RUN pip --python /opt/build/bin/python install "setuptools>=77"
# The dependencies of an image are an extra of the project; asked for by themselves they need no build of it.
RUN python3 -c "import pathlib, tomllib; extras = tomllib.loads(pathlib.Path('pyproject.toml').read_text())['project']['optional-dependencies']; \
    [pathlib.Path(f'{name}.txt').write_text('\\n'.join(extras[name])) for name in ('operator', 'app')]"

FROM build AS operator-dependencies
RUN pip --python /opt/venv/bin/python install --requirement operator.txt

FROM build AS app-dependencies
RUN pip --python /opt/venv/bin/python install --requirement app.txt

FROM build AS operator-code
COPY crds crds
COPY operator operator
RUN pip --python /opt/build/bin/python install --no-deps --no-build-isolation --target /opt/code .

FROM build AS app-code
COPY app app
COPY worker worker
RUN pip --python /opt/build/bin/python install --no-deps --no-build-isolation --target /opt/code .

FROM ${PYTHON_IMAGE} AS runtime
# USER: the numeric uid has no entry in passwd, and kopf asks for a name.
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/opt/code PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp USER=fibpipeline
WORKDIR /tmp
USER 10001:10001

FROM runtime AS operator
COPY --from=operator-dependencies /opt/venv /opt/venv
COPY --from=operator-code /opt/code /opt/code
EXPOSE 8080 9090
ENTRYPOINT ["python", "-m", "fiboperator"]

FROM runtime AS app
COPY --from=app-dependencies /opt/venv /opt/venv
COPY --from=app-code /opt/code /opt/code
EXPOSE 8000 9000 5555
CMD ["python", "-m", "fibapp", "api"]
