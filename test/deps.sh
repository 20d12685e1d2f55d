#!/bin/bash
# Installs from Debian's packages what the tests need, or says what is missing.
# usage: test/deps.sh [bench]     ("bench": also the checkers that the benchmark's Postfix runs)
#
# Safe to run again: what is there is left alone. Services that a new package brings are kept from
# starting and are disabled; the tests start their own private instances on free loopback ports.
set -euo pipefail

# program => package; the program is what the tests call, so it is what is looked for.
declare -A need=(
	[gcc]=gcc
	[curl]=curl
	[postfix]=postfix
	[dovecot]=dovecot-imapd
	[/usr/lib/dovecot/lmtp]=dovecot-lmtpd
	[/usr/lib/postgresql/*/bin/initdb]=postgresql
	[mbsync]=isync
	[neomutt]=neomutt
	[/usr/include/stdlib.h]=libc6-dev
)
if [ "${1:-}" = bench ]; then
	need[opendkim]=opendkim
	need[opendmarc]=opendmarc
	need[policyd-spf]=postfix-policyd-spf-python
fi

PATH=$PATH:/usr/sbin:/sbin

present() { # a program on the path, or a file (the pattern may hold a *)
	case $1 in
	/*) compgen -G "$1" >/dev/null ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

missing() {
	for what in "${!need[@]}"; do
		present "$what" || echo "${need[$what]}"
	done | sort -u
}

packages=$(missing | tr '\n' ' ')
if [ -z "${packages// /}" ]; then
	echo "test-deps: everything the tests need is installed"
	exit 0
fi

if [ "$(id -u)" != 0 ]; then
	echo "test-deps: missing: $packages" >&2
	echo "test-deps: run as root: apt-get install -y --no-install-recommends $packages" >&2
	exit 1
fi

echo "test-deps: installing $packages"
export DEBIAN_FRONTEND=noninteractive
apt='apt-get -q -y -o DPkg::Lock::Timeout=300'

# Debian's way to install a daemon without starting it. One that is there already is someone's choice.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
	trap 'rm -f $policy' EXIT
fi

# The instance of the tests has its own configuration; the system's stays empty.
if [[ $packages == *postfix* ]] && command -v debconf-set-selections >/dev/null; then
	echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections
fi

$apt update
# shellcheck disable=SC2086  # both are lists of words
$apt install --no-install-recommends $packages

if [ -d /run/systemd/system ]; then
	for service in postfix dovecot postgresql opendkim opendmarc; do
		[[ $packages == *$service* ]] || continue
		echo "test-deps: disabling the system's $service"
		systemctl disable --now "$service" >/dev/null 2>&1 || true
	done
fi

left=$(missing | tr '\n' ' ')
if [ -n "${left// /}" ]; then
	echo "test-deps: still missing after the installation: $left" >&2
	exit 1
fi
echo "test-deps: done"
