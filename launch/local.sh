#!/usr/bin/env bash
# A search on this machine, with all of its cores and GPUs: launch/local.sh SPACE [further arguments of mtsearch run]
# mtsearch starts a Ray of its own for it, whose dashboard is on 127.0.0.1, and ends it with the search.
set -euo pipefail

export RAY_AUTH_MODE=token # whoever else is on this machine cannot get in without ~/.ray/auth_token, which Ray makes
exec mtsearch run "$@"
