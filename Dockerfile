# One image for every process: `orchestrator` unless told otherwise, `executor`, or any other command of the CLI.

FROM node:24-slim AS base
WORKDIR /app
COPY package.json package-lock.json .npmrc ./

# No dependency needs its install script, and not running any is safer.
FROM base AS dependencies
RUN npm ci --ignore-scripts --omit=dev

FROM base AS build
RUN npm ci --ignore-scripts
COPY . .
RUN npm run build && chmod +x dist/cli/main.js

FROM node:24-slim AS runtime
WORKDIR /app
# The data directory is for `skein dev` and embedded runs; the orchestrator and executors write no files.
RUN install -d -o node -g node /var/lib/skein && ln -s /app/dist/cli/main.js /usr/local/bin/skein
# Loopback is of no use in a container: who reaches the server is decided by the ports that are published.
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080 SKEIN_DATA_DIR=/var/lib/skein
COPY package.json LICENSE ./
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist

USER node
EXPOSE 8080
STOPSIGNAL SIGTERM
# Liveness of a server; docker-compose.yml has the executor's, which has no port.
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/healthz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/app/dist/cli/main.js"]
CMD ["orchestrator"]

ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Skein" \
      org.opencontainers.image.description="Distributed multi-agent workflow orchestrator" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# An executor that can also run code.python and shell.command; docs/executors/shell.command.md says what its container needs.
FROM runtime AS sandbox
USER root
RUN apt-get update && apt-get install -y --no-install-recommends bubblewrap python3 && rm -rf /var/lib/apt/lists/*
USER node
ENV SKEIN_SANDBOX=bubblewrap

# What is built without --target.
FROM runtime
