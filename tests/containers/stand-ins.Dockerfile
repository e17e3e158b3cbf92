# Prometheus and Alertmanager placed, owned and started as in their official images.
ARG BASE

FROM ${BASE} AS prometheus
COPY prometheus promtool /bin/
RUN install --directory --owner=65534 --group=65534 /prometheus /etc/prometheus
WORKDIR /prometheus
USER 65534
EXPOSE 9090
VOLUME /prometheus
ENTRYPOINT ["/bin/prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]

FROM ${BASE} AS alertmanager
COPY alertmanager amtool /bin/
# The distribution's Alertmanager has its templates beside it, and was told to look where it is started.
COPY templates /usr/share/prometheus/alertmanager
RUN install --directory --owner=65534 --group=65534 /alertmanager /etc/alertmanager
WORKDIR /usr/share/prometheus/alertmanager
USER 65534
EXPOSE 9093
VOLUME /alertmanager
ENTRYPOINT ["/bin/alertmanager"]
CMD ["--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"]
