#!/usr/bin/env bash
# Retrieves one item: ./retrieve.sh <Message-ID, escaped> [host] [SIP port] [owner]
set -euo pipefail
id=${1:?which Message-ID, escaped as in a URI} host=${2:-127.0.0.1} port=${3:-5060} owner=${4:-charlie}
uri="sip:$id@mailserver.example.com"
call="retrieve-$$-$RANDOM" branch="z9hG4bK$$$RANDOM" cr=$'\r'
mine="msrp://127.0.0.1:9/$call;tcp"

# Reads the headers of a SIP message into $head and its body into $body.
read_sip() {
  local line length
  head="" body=""
  while IFS= read -r line <&3; do
    line=${line%"$cr"}
    [ -n "$line" ] || { [ -n "$head" ] && break; continue; }
    head+="$line"$'\n'
  done
  [ -n "$head" ] || { echo "the node closed the connection" >&2; exit 1; }
  echo "<-- ${head%%$'\n'*}" >&2
  length=$(header content-length)
  [ "${length:-0}" -eq 0 ] || IFS= LC_ALL=C read -r -N "$length" body <&3
}
header() { awk -v want="$1" -F': *' 'tolower($1) == want { sub(/^[^:]*: */, ""); print; exit }' <<<"$head"; }
# Sends its lines with CRLF to file descriptor $1.
send() { local to=$1; shift; printf '%s\r\n' "$@" >&"$to"; }
# Reads past provisional responses; $status is that of the final one.
read_final() { while read_sip; status=${head#SIP/2.0 }; [ "${status:0:1}" = 1 ]; do :; done; }
common=("Max-Forwards: 70" "From: <sip:$owner@example.com>;tag=$$" "Call-ID: $call")

exec 3<>"/dev/tcp/$host/$port"
# By which port does the node see us? The rport of the answer to an OPTIONS tells (RFC 3581): that is our Contact, so
# that the BYE comes by this connection.
send 3 "OPTIONS sip:mailserver.example.com SIP/2.0" "Via: SIP/2.0/TCP 127.0.0.1:9;rport;branch=${branch}o" \
  "${common[@]}" "To: <sip:mailserver.example.com>" "CSeq: 1 OPTIONS" "Content-Length: 0" ""
read_final
self="127.0.0.1:$(header via | sed 's/.*rport=\([0-9]*\).*/\1/')"
sdp=$(printf '%s\r\n' "v=0" "o=- 1 1 IN IP4 127.0.0.1" "s=-" "c=IN IP4 127.0.0.1" "t=0 0" \
  "m=message 9 TCP/MSRP *" "a=accept-types:message/cpim text/plain *" "a=setup:active" "a=path:$mine")$'\n'
send 3 "INVITE $uri SIP/2.0" "Via: SIP/2.0/TCP $self;branch=$branch" "${common[@]}" "To: <$uri>" \
  "CSeq: 2 INVITE" "Contact: <sip:$owner@$self;transport=tcp>" "Content-Type: application/sdp" \
  "Content-Length: ${#sdp}" ""
printf '%s' "$sdp" >&3
read_final
to=$(header to) target=$(header contact | sed 's/.*<\(.*\)>.*/\1/')
if [ "${status:0:1}" != 2 ]; then
  send 3 "ACK $uri SIP/2.0" "Via: SIP/2.0/TCP $self;branch=$branch" "${common[@]}" "To: $to" "CSeq: 2 ACK" \
    "Content-Length: 0" ""
  exit 1
fi
send 3 "ACK $target SIP/2.0" "Via: SIP/2.0/TCP $self;branch=${branch}a" "${common[@]}" "To: $to" "CSeq: 2 ACK" \
  "Content-Length: 0" ""

# MSRP: the connection is opened by us, for the answer says passive. An empty SEND binds it.
path=$(sed -n 's/^a=path://p' <<<"$body" | tr -d '\r')
where=${path#msrp://}; where=${where%%/*}
exec 4<>"/dev/tcp/${where%:*}/${where##*:}"
send 4 "MSRP bind SEND" "To-Path: $path" "From-Path: $mine" "Message-ID: bind$$" "Byte-Range: 1-0/0" "-------bind$"
transaction=""
while IFS= read -r line; do
  line=${line%"$cr"}
  case $line in
    "MSRP "*" SEND") transaction=${line#MSRP }; transaction=${transaction% SEND} ;;
    "-------$transaction"["+\$#"])
      if [ -n "$transaction" ]; then
        send 4 "MSRP $transaction 200 OK" "To-Path: $path" "From-Path: $mine" "-------$transaction\$"
        [ "${line: -1}" != '$' ] || break
        transaction=""
      fi ;;
    *) [ -z "$transaction" ] || printf '%s\n' "$line" ;;
  esac
done <&4
[ "${line: -1}" = '$' ] || { echo "the connection ended midway" >&2; exit 1; }

# The store says BYE when all is acknowledged. It comes by the connection that is open.
read_sip
[[ $head == BYE* ]] || { echo "expected a BYE" >&2; exit 1; }
send 3 "SIP/2.0 200 OK" "Via: $(header via)" "From: $(header from)" "To: $(header to)" "Call-ID: $call" \
  "CSeq: $(header cseq)" "Content-Length: 0" ""
