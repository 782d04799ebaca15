#!/bin/bash
# Makes a Debian VM a Prefect worker. Google's guest agent runs this file as root at every boot; to run it again now:
#   sudo google_metadata_script_runner startup
# It installs Docker, and itself as the service longshore-worker, which runs the worker's container and starts it anew
# whenever it ends. Running it again changes nothing, unless what it does or reads has changed.
# Its log: journalctl -u google-startup-scripts -u longshore-worker, or the serial console.
set -Eeuo pipefail
shopt -s inherit_errexit
trap 'echo "longshore: ERROR: line $LINENO: $BASH_COMMAND" >&2' ERR # nothing ends without a word

readonly METADATA=http://metadata.google.internal/computeMetadata/v1
readonly SECRET_MANAGER=https://secretmanager.googleapis.com/v1
readonly NAME=longshore-worker
readonly PROGRAM=/usr/local/sbin/$NAME SETTINGS=/etc/$NAME.env UNIT=/etc/systemd/system/$NAME.service
readonly MEMORY=/run/$NAME # the service's own folder: in memory, for root only, gone when it stops

say() { echo "longshore: $*"; }

fail() {
  echo "longshore: ERROR: $*" >&2
  exit 1
}

metadata() {
  curl -sf --retry 5 --retry-connrefused --max-time 30 -H 'Metadata-Flavor: Google' "$METADATA/$1"
}

attribute() {
  metadata "instance/attributes/longshore-$1" || fail "this VM has no metadata longshore-$1; terraform apply sets it"
}

# The token of the VM's service account. It goes through pipes only: the words of a command can be read by anyone here.
token() {
  metadata instance/service-accounts/default/token | jq -er .access_token ||
    fail "the metadata server gives no token: has this VM a service account?"
}

install_packages() {
  type docker jq curl >/dev/null 2>&1 && return
  say "installing Docker"
  export DEBIAN_FRONTEND=noninteractive
  local apt=(apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=5)
  { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends curl docker.io jq; } >/dev/null ||
    fail "Debian's packages could not be installed; without an external IP the VM needs Cloud NAT"
}

write_settings() {
  local key value lines=""
  for key in image pool pool_type secret; do
    value=$(attribute "${key//_/-}")
    lines+="${key^^}=\"$value\""$'\n'
  done
  printf %s "$lines" >"$SETTINGS"
}

write_unit() {
  cat >"$UNIT" <<UNIT
[Unit]
Description=Prefect worker
Requires=docker.service
After=docker.service network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
EnvironmentFile=$SETTINGS
RuntimeDirectory=$NAME
RuntimeDirectoryMode=0700
UMask=0077
ExecStartPre=$PROGRAM prepare
ExecStart=/usr/bin/docker start --attach $NAME
ExecStop=/usr/bin/docker stop --time 30 $NAME
TimeoutStartSec=900
Restart=always
RestartSec=10
SuccessExitStatus=143
StandardOutput=journal+console
StandardError=journal+console

[Install]
WantedBy=multi-user.target
UNIT
}

checksum() {
  { cat "$PROGRAM" "$SETTINGS" "$UNIT" 2>/dev/null || true; } | sha256sum
}

install_worker() {
  install_packages
  local before action=start
  before=$(checksum)
  [[ $0 -ef $PROGRAM ]] || install -m 755 "$0" "$PROGRAM"
  write_settings
  write_unit
  [[ $(checksum) == "$before" ]] || action=restart
  systemctl daemon-reload
  systemctl enable --quiet "$NAME"
  systemctl "$action" "$NAME" ||
    fail "the worker has not started; the reason: journalctl -u $NAME. It is tried again every 10 seconds"
  say "the worker runs: $(docker inspect --format '{{.Config.Image}}' "$NAME")"
}

pull_image() {
  docker image inspect "$IMAGE" >/dev/null 2>&1 && return # named by digest, so it is the same
  say "pulling $IMAGE"
  local -x DOCKER_CONFIG=$MEMORY/docker
  local answer
  answer=$(token | docker login --username oauth2accesstoken --password-stdin "${IMAGE%%/*}" 2>&1) ||
    fail "no log-in at ${IMAGE%%/*}: $answer"
  docker pull --quiet "$IMAGE" >/dev/null || fail "$IMAGE cannot be pulled: was it pushed, and may this VM read it?"
  rm -r "$DOCKER_CONFIG"
}

# Writes Prefect's address and key, the newest version of the secret, to profiles.toml, for the image's user only.
fetch_profile() {
  local status reason
  status=$(token | sed 's/.*/header = "Authorization: Bearer &"/' |
    curl -s --config - --retry 3 --max-time 30 --output "$MEMORY/answer" --write-out '%{http_code}' \
      "$SECRET_MANAGER/$SECRET/versions/latest:access") || fail "Secret Manager does not answer"
  if [[ $status != 200 ]]; then
    reason=$(jq -r .error.message "$MEMORY/answer" 2>/dev/null) || reason="no reason given"
    [[ $status != 404 ]] || reason+=" Put one there: gcloud secrets versions add ${SECRET##*/} --data-file=FILE"
    fail "no Prefect profile, Secret Manager says $status: $reason"
  fi
  jq -r .payload.data "$MEMORY/answer" | base64 -d >"$MEMORY/profiles.toml"
  rm "$MEMORY/answer"
  grep -q PREFECT_API_URL "$MEMORY/profiles.toml" ||
    fail "secret ${SECRET##*/} is not a profiles.toml with PREFECT_API_URL"
  chown "$(docker image inspect --format '{{.Config.User}}' "$IMAGE")" "$MEMORY/profiles.toml"
}

prepare() {
  : "${IMAGE:?}" "${POOL:?}" "${POOL_TYPE:?}" "${SECRET:?}" # from $SETTINGS, by systemd
  pull_image
  fetch_profile
  docker rm --force "$NAME" >/dev/null 2>&1 || true
  local locked=(--read-only --tmpfs '/tmp:size=256m' --cap-drop ALL --security-opt no-new-privileges)
  local limits=(--memory 1g --memory-swap 1g --pids-limit 256)
  # The VM's network: it knows the metadata server's name, and has the packet size of Google's networks. No log but the
  # journal, to which systemd takes what the container prints.
  docker create --name "$NAME" --init --no-healthcheck --log-driver none --network host "${locked[@]}" "${limits[@]}" \
    --mount "type=bind,source=$MEMORY/profiles.toml,target=/run/prefect/profiles.toml,readonly" \
    --env PREFECT_PROFILES_PATH=/run/prefect/profiles.toml \
    "$IMAGE" python -m workpools.worker --pool "$POOL" --type "$POOL_TYPE" --name "$(hostname)" >/dev/null
  docker image prune --all --force >/dev/null || true # those of before
}

case ${1:-install} in
  install) install_worker ;;
  prepare) prepare ;;
  *) fail "no command $1" ;;
esac
