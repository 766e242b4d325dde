# The harness in a container: `make docker`, or `make docker VARIANT=cuda`. `oneshot` is the entry point, /srv its folder.
#
#   docker run --rm -v "$PWD/results:/srv/results" one-shot-nas-harness:cpu run --bench digits --space 1 --optimizer darts --seeds 2
FROM python:3.12-slim AS build
WORKDIR /source
COPY . .
RUN python -m pip install --no-cache-dir build && python -m build --wheel --outdir /wheels .

FROM python:3.12-slim
# cpu: torch's own index of wheels without CUDA. cuda: those of PyPI, which bring CUDA's libraries; the driver is the host's.
ARG VARIANT=cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY --from=build /wheels /wheels
RUN case "$VARIANT" in \
        cpu) python -m pip install --no-cache-dir torch torchvision --index-url "$TORCH_INDEX" ;; \
        cuda) ;; \
        *) echo "expected VARIANT=cpu or cuda, got $VARIANT" >&2; exit 2 ;; \
    esac \
    && wheel=$(ls /wheels/*.whl) \
    && python -m pip install --no-cache-dir "$wheel[pandas,parquet]" \
    && useradd --create-home --uid 1000 researcher && install -d -o researcher /srv /srv/results
USER researcher
WORKDIR /srv
ENV HARNESS_DATA=/srv/data MPLBACKEND=agg
ENTRYPOINT ["oneshot"]
CMD ["--help"]
