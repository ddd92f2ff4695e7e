# The launcher of the Dataflow Flex Template: it plans, builds the pipeline and submits it.
#
#   docker build -f examples/container/launcher.Dockerfile -t REGISTRY/skyhaul-launcher:0.2.0 .
#   gcloud dataflow flex-template build gs://BUCKET/skyhaul.json --image REGISTRY/skyhaul-launcher:0.2.0 \
#       --sdk-language PYTHON --metadata-file examples/container/flex_template.json
FROM gcr.io/dataflow-templates-base/python311-template-launcher-base AS launcher
FROM apache/beam_python3.11_sdk:2.77.0

COPY --from=launcher /opt/google/dataflow/python_template_launcher /opt/google/dataflow/
COPY examples/container/launch.py /template/launch.py
COPY constraints.txt dist/skyhaul-*.whl /tmp/skyhaul/
RUN pip install --no-cache-dir --constraint /tmp/skyhaul/constraints.txt \
        "$(ls /tmp/skyhaul/*.whl)[gcs]" \
    && rm -r /tmp/skyhaul
ENV FLEX_TEMPLATE_PYTHON_PY_FILE=/template/launch.py
ENTRYPOINT ["/opt/google/dataflow/python_template_launcher"]
