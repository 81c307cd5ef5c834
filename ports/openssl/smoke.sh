# SPDX-License-Identifier: MIT
# Digests, ciphers against published answers, signatures, certificates, TLS; what one system makes the other accepts.
ssl() { run openssl "$@"; }
version=$(ssl version)
same 'the version' "${version%% [0-9]* *}" OpenSSL

# Digests, as the host's own programs have them.
head -c 300001 /dev/urandom >data
for algorithm in md5 sha1 sha224 sha256 sha384 sha512; do
  same "$algorithm" "$(ssl dgst -r -$algorithm "$T/data" | cut -d' ' -f1)" "$(${algorithm}sum data | cut -d' ' -f1)"
done
same blake2b512 "$(ssl dgst -r -blake2b512 "$T/data" | cut -d' ' -f1)" "$(b2sum data | cut -d' ' -f1)"
same sha3-256 "$(printf abc | ssl dgst -r -sha3-256 | cut -d' ' -f1)" \
  3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532
same hmac "$(printf 'what do ya want for nothing?' | ssl dgst -r -sha256 -hmac Jefe | cut -d' ' -f1)" \
  5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843

# NIST SP 800-38A, F.2.1 and F.5.1; RFC 8439, 2.4.2.
hex() { od -An -v -tx1 | tr -d ' \n'; }
block() { printf '\153\301\276\342\056\100\237\226\351\075\176\021\163\223\027\052'; }
key=2b7e151628aed2a6abf7158809cf4f3c
same aes-128-cbc "$(block | ssl enc -aes-128-cbc -nopad -K $key -iv 000102030405060708090a0b0c0d0e0f | hex)" \
  7649abac8119b246cee98e9b12e9197d
same aes-128-ctr "$(block | ssl enc -aes-128-ctr -K $key -iv f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff | hex)" \
  874d6191b620e3261bef6864990db6ce
same chacha20 "$(printf 'Ladies and Gentl' | ssl enc -chacha20 -iv 01000000000000000000004a00000000 -K \
  000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f | hex)" 6e2e359a2568f98041ba0728dd0d6981
same aes-256-ctr "$(ssl enc -aes-256-ctr -pbkdf2 -pass pass:x -in "$T/data" | native openssl enc -d -aes-256-ctr \
  -pbkdf2 -pass pass:x | sha256sum)" "$(sha256sum <data)"

# Randomness is never the same twice.
same 'two random numbers' "$( (ssl rand -hex 16; ssl rand -hex 16) | sort -u | wc -l)" 2

# A certificate authority and a server's certificate; the other system checks them, and the signatures.
certificate_config DNS:localhost,IP:127.0.0.1
ssl req -config "$T/req.cnf" -x509 -extensions ca -newkey rsa:2048 -nodes -keyout "$T/ca.key" -subj '/CN=a CA' \
  -days 30 -out "$T/ca.pem" 2>log || fail "a CA: $(cat log)"
ssl req -config "$T/req.cnf" -x509 -extensions server -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
  -keyout "$T/server.key" -subj '/CN=localhost' -CA "$T/ca.pem" -CAkey "$T/ca.key" -days 30 \
  -out "$T/server.pem" 2>log || fail "a certificate: $(cat log)"
for check in ssl 'native openssl'; do
  $check verify -CAfile "$T/ca.pem" -verify_hostname localhost "$T/server.pem" >out 2>&1 || fail "verify: $(cat out)"
  ! $check verify -CAfile "$T/ca.pem" -verify_hostname elsewhere "$T/server.pem" >out 2>&1 || fail 'a wrong name'
  ! $check verify -CAfile "$T/server.pem" "$T/server.pem" >out 2>&1 || fail 'an unknown CA'
done
for kind in 'RSA -pkeyopt rsa_keygen_bits:2048' 'EC -pkeyopt ec_paramgen_curve:P-384' \
  'EC -pkeyopt ec_paramgen_curve:P-521' ED25519; do
  # shellcheck disable=SC2086 # a list
  ssl genpkey -algorithm $kind -out "$T/key" 2>log || fail "a key: $(cat log)"
  native openssl pkey -in key -pubout -out public
  ssl pkeyutl -sign -rawin -inkey "$T/key" -in "$T/req.cnf" -out "$T/signature"
  native openssl pkeyutl -verify -rawin -pubin -inkey public -in req.cnf -sigfile signature >out || fail "signed: $kind"
  native openssl pkeyutl -sign -rawin -inkey key -in req.cnf -out signature
  ssl pkeyutl -verify -rawin -pubin -inkey "$T/public" -in "$T/req.cnf" -sigfile "$T/signature" >out ||
    fail "signed by the other: $kind"
done

# TLS: a native client reads a file of our server, our client one of a native server.
port=$(free_port)
serve='s_server -quiet -WWW -accept'
up() { native openssl s_client -connect "127.0.0.1:$port" </dev/null >out 2>&1; }
# ask CLIENT OPTIONS...: the file `data` in out
ask() {
  printf 'GET /data HTTP/1.0\r\n\r\n' | "$@" s_client -quiet -connect "127.0.0.1:$port" \
    -CAfile "$T/ca.pem" -verify_return_error -verify_hostname "$host" $options 2>log >answer
}
exchanges() {
  while read -r options; do
    host=localhost
    ask "$@" || fail "$options: $(cat log)"
    tail -c 300001 answer | cmp - data || fail "the file by $options"
    host=elsewhere
    ! ask "$@" || fail "$options: a wrong name"
    grep -q 'hostname mismatch' log || fail "$options: $(cat log)"
  done <<'LIST'
-tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256 -groups X25519
-tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256 -groups P-256
-tls1_2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384
LIST
}
# shellcheck disable=SC2086 # a list
start openssl $serve "$port" -cert "$T/server.pem" -key "$T/server.key"
eventually 'our server answers' up
exchanges native openssl
stop
"$O/native/bin/openssl" $serve "$port" -cert server.pem -key server.key & # no function: the process itself
started=$!
eventually 'a native server answers' up
exchanges run openssl

# Certificates that the host trusts, as they are mounted: the default without any option.
if [ "$VARIANT" != native ]; then
  mkdir certs
  cp ca.pem certs/ca-certificates.crt
  same 'the default certificates' "$("$O/bin/ufork" run --root="$root" --dir="$T:$T" --dir="/etc/ssl/certs:$T/certs:ro" \
    openssl verify "$T/server.pem")" "$T/server.pem: OK"
  ! ssl verify "$T/server.pem" >out 2>&1 || fail 'certificates out of nowhere'
fi
