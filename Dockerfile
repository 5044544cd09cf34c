# docker build -t pgabsorb .
# docker run -p 7432:7432 -e PGABSORB_UPSTREAM=db.example:5432 \
#     -v ./rules.toml:/etc/pgabsorb/rules.toml:ro pgabsorb

FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin pgabsorb

FROM debian:bookworm-slim
COPY --from=build /src/target/release/pgabsorb /usr/local/bin/pgabsorb

# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
EXPOSE 7432

# The rules are mounted; a container without them stops with a line that says so. Inside a
# container, listening on the loopback address of a sample file would reach nobody.
ENV PGABSORB_CONFIG=/etc/pgabsorb/rules.toml \
    PGABSORB_LISTEN=0.0.0.0:7432

# Speaks the first words of the protocol: an SSLRequest (8 bytes, code 80877103) is answered with
# one byte, N or S, by the proxy alone. So this says that the proxy serves, whatever the state
# of the server behind it; restarting the proxy would not bring that back.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD bash -c \
    'exec 3<>/dev/tcp/127.0.0.1/7432 && printf "\0\0\0\010\004\322\026\057" >&3 && IFS= read -r -t 3 -n 1 answer <&3 && [[ $answer == [NS] ]]'

ENTRYPOINT ["pgabsorb"]
CMD ["run"]
