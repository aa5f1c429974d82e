# shellcheck shell=sh disable=SC2154
# SPDX-License-Identifier: GPL-2.0
# Part of run: signatures, judged by OpenSSL's own tool; and mkbad.

# verify CERT IMAGE: the detached signature over all bytes before it.
verify() {
	python3 - "$2" "$tmp/content" "$tmp/sig" <<-'P' &&
	import struct, sys
	data = open(sys.argv[1], "rb").read()
	marker = b"~Module signature appended~\n"
	assert data.endswith(marker)
	head = len(data) - len(marker) - 12
	algo, digest, kind, a, b, size = struct.unpack_from(">BBBBB3xI", data, head)
	assert (algo, digest, kind, a, b) == (0, 0, 2, 0, 0)
	open(sys.argv[2], "wb").write(data[:head - size])
	open(sys.argv[3], "wb").write(data[head - size:head])
	P
	openssl cms -verify -binary -inform DER -in "$tmp/sig" -content "$tmp/content" \
		-certfile "$1" -nointern -noverify -out /dev/null
}

make_key() {
	openssl req -x509 -newkey "$2" ${3:+-pkeyopt "$3"} -nodes -keyout "$tmp/$1.key" \
		-out "$tmp/$1.crt" -subj "/CN=$1" -days 2 2> /dev/null
}

if make_key good rsa:2048 && make_key stranger rsa:2048 &&
	make_key curve ec ec_paramgen_curve:P-256; then
	assemble "$tmp/image.ko" < /dev/null
	"$GMCC" guard -q -o "$tmp/image.gm.ko" "$tmp/image.ko"
	for k in good curve; do
		check "signs ($k)" "$GMCC_SAN" sign --key "$tmp/$k.key" --cert "$tmp/$k.crt" \
			-o "$tmp/$k.gm.ko" "$tmp/image.gm.ko"
		check "OpenSSL accepts it ($k)" verify "$tmp/$k.crt" "$tmp/$k.gm.ko"
		fails "OpenSSL refuses another signer ($k)" 4 "" verify "$tmp/stranger.crt" "$tmp/$k.gm.ko"
	done
	json "inspect names the signer" "j['signed'] and j['signer'] == '/CN=good'" "$tmp/good.gm.ko"
	python3 -c "
import sys
d = bytearray(open(sys.argv[1], 'rb').read())
d[5000] ^= 1
open(sys.argv[2], 'wb').write(d)" "$tmp/good.gm.ko" "$tmp/flipped.gm.ko"
	fails "OpenSSL refuses a flipped byte" 4 "" verify "$tmp/good.crt" "$tmp/flipped.gm.ko"
	fails "refuses to sign twice" 1 \
		"gmcc: $tmp/good.gm.ko: signed already. Sign the image that \`gmcc guard' wrote." \
		"$GMCC_SAN" sign --key "$tmp/good.key" --cert "$tmp/good.crt" "$tmp/good.gm.ko"
	fails "refuses a key and certificate that do not match" 1 \
		"gmcc: $tmp/stranger.crt: does not belong to the key $tmp/good.key. Give the pair." \
		"$GMCC_SAN" sign --key "$tmp/good.key" --cert "$tmp/stranger.crt" "$tmp/image.gm.ko"
	check "embeds the certificate" "$GMCC_SAN" sign --embed --key "$tmp/good.key" \
		--cert "$tmp/good.crt" -o "$tmp/embed.gm.ko" "$tmp/image.gm.ko"
	check "OpenSSL accepts that, too" verify "$tmp/good.crt" "$tmp/embed.gm.ko"
	if command -v certtool > /dev/null; then
		verify "$tmp/good.crt" "$tmp/good.gm.ko" 2> /dev/null
		check "GnuTLS accepts it" certtool --p7-verify --inder --infile "$tmp/sig" \
			--load-data "$tmp/content" --load-certificate "$tmp/good.crt"
	else
		skip "GnuTLS accepts it" "no certtool"
	fi
	check "mkbad makes its images" env GMCC="$GMCC" "$here/mkbad" "$tmp/image.gm.ko" \
		"$tmp/good.key" "$tmp/good.crt" "$tmp/stranger.key" "$tmp/stranger.crt" "$tmp/badset"
	check "and lists every one of them, for each reason" sh -c "
		[ \$(wc -l < '$tmp/badset/index.tsv') -eq \$(ls '$tmp/badset' | grep -c '\.ko\$') ] &&
		[ \$(cut -f 2 '$tmp/badset/index.tsv' | sort -u | wc -l) -eq 7 ]"
else
	skip "signatures" "openssl cannot make keys"
fi
