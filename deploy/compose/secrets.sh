#!/bin/sh
# Makes deploy/secrets (or the folder that is named), with a secret of its own for each purpose. What is there stays.
# The folder is closed to others. The files are open, for containers read them under other user ids than yours.
set -eu
folder=${1:-$(dirname "$0")/../secrets}
umask 077
mkdir -p "$folder"
cd "$folder"

word() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

if ! [ -e redis_url ]; then
  redis=$(word)
  # docs/security-settings.md says what each of these is for.
  cat > redis_acl <<END
user default off
user health on nopass resetchannels -@all +ping
user streakline on >$redis resetchannels ~streakline.* -@all +ping +evalsha +script|load +time +multi +exec +exists +get +mget +set +del +incrby +expire +pexpire +scan +hset +hdel +hgetall +zadd +zrange +zremrangebyscore +xadd +xrevrange +xread
END
  echo "redis://streakline:$redis@redis:6379/0" > redis_url
fi
for name in dashboard_token grafana_password; do
  [ -e "$name" ] || word > "$name"
done
chmod 444 redis_acl redis_url dashboard_token grafana_password
