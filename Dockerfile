# Lehr in a container; docs/installing.md says how to build and run it.
#   PYTHON       version of Python
#   EXTRAS       extras of Lehr, e.g. onnx,plots,video,search
#   TORCH_INDEX  index of PyTorch's wheels for one kind of device, e.g. that of the CPU; without it pip's default, which has CUDA
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
ARG EXTRAS=onnx,plots,video
ARG TORCH_INDEX=
RUN python -m venv /opt/lehr
ENV PATH=/opt/lehr/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN if [ -n "$TORCH_INDEX" ]; then pip install --index-url "$TORCH_INDEX" torch torchvision; fi
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install ".[${EXTRAS}]"

FROM python:${PYTHON}-slim
COPY --from=build /opt/lehr /opt/lehr
# Whoever runs it (docker run --user) owns /work, and with it the cache; no home folder is needed.
ENV PATH=/opt/lehr/bin:$PATH HOME=/tmp LEHR_CACHE=/work/.lehr
WORKDIR /work
ENTRYPOINT ["lehr"]
CMD ["--help"]
