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

# The same by a chain of certificates that leads to ROOT.
verify_from() {
	verify "$1" "$2" > /dev/null 2>&1
	openssl cms -verify -binary -inform DER -in "$tmp/sig" -content "$tmp/content" \
		-CAfile "$1" -purpose any -out /dev/null
}

# issue NAME ISSUER USAGE: an authority, or a signer if there is a USAGE.
issue() {
	openssl req -new -newkey rsa:2048 -nodes -keyout "$tmp/$1.key" -out "$tmp/$1.csr" \
		-subj "/CN=$1" 2> /dev/null &&
	printf 'basicConstraints=critical,CA:%s\nkeyUsage=critical,%s\n' "${3:+FALSE}${3:-TRUE}" \
		"${3:-keyCertSign,cRLSign}" | sed 's/CA:FALSE.*/CA:FALSE/' > "$tmp/$1.ext" &&
	if [ -n "$2" ]; then
		openssl x509 -req -in "$tmp/$1.csr" -CA "$tmp/$2.crt" -CAkey "$tmp/$2.key" -CAcreateserial \
			-days 2 -extfile "$tmp/$1.ext" -out "$tmp/$1.crt" 2> /dev/null
	else
		openssl x509 -req -in "$tmp/$1.csr" -signkey "$tmp/$1.key" -days 2 \
			-extfile "$tmp/$1.ext" -out "$tmp/$1.crt" 2> /dev/null
	fi
}

make_key() {
	openssl req -x509 -newkey "$2" ${3:+-pkeyopt "$3"} -nodes -keyout "$tmp/$1.key" \
		-out "$tmp/$1.crt" -subj "/CN=$1" -days 2 2> /dev/null
}

# Of OpenSSL's tools only `ca' sets both ends of a validity.
# make_dated NAME START END: a certificate that is valid then.
make_dated() {
	mkdir -p "$tmp/ca/new"
	: > "$tmp/ca/index"
	cat > "$tmp/ca/config" <<-C
	[ca]
	default_ca = here
	[here]
	database = $tmp/ca/index
	new_certs_dir = $tmp/ca/new
	rand_serial = yes
	default_md = sha256
	policy = any
	[any]
	commonName = supplied
	C
	openssl req -new -newkey rsa:2048 -nodes -keyout "$tmp/$1.key" -out "$tmp/$1.csr" \
		-subj "/CN=$1" 2> /dev/null
	openssl ca -batch -selfsign -config "$tmp/ca/config" -keyfile "$tmp/$1.key" \
		-startdate "$2" -enddate "$3" -notext -in "$tmp/$1.csr" -out "$tmp/$1.crt" 2> /dev/null
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
	issue root "" "" && issue middle root "" && issue end middle "digitalSignature"
	cat "$tmp/end.crt" "$tmp/middle.crt" "$tmp/root.crt" > "$tmp/whole.pem"
	check "signs with a chain" "$GMCC_SAN" sign --chain "$tmp/middle.crt" --key "$tmp/end.key" \
		--cert "$tmp/end.crt" -o "$tmp/chain.gm.ko" "$tmp/image.gm.ko"
	check "OpenSSL finds its way from the root" verify_from "$tmp/root.crt" "$tmp/chain.gm.ko"
	"$GMCC" sign --embed --key "$tmp/end.key" --cert "$tmp/end.crt" -o "$tmp/alone.gm.ko" "$tmp/image.gm.ko"
	fails "and does not without the chain" 4 "" verify_from "$tmp/root.crt" "$tmp/alone.gm.ko"
	check "--embed puts the signer's certificate there alone" sh -c "
		openssl pkcs7 -inform DER -in '$tmp/sig' -print_certs -noout > '$tmp/subjects' &&
		grep -c '^subject' '$tmp/subjects' | grep -qx 1"
	check "a file with the whole chain will do" "$GMCC_SAN" sign --chain "$tmp/whole.pem" \
		--key "$tmp/end.key" --cert "$tmp/end.crt" -o "$tmp/whole.gm.ko" "$tmp/image.gm.ko"
	verify_from "$tmp/root.crt" "$tmp/whole.gm.ko" 2> /dev/null
	check "and puts each certificate there once" sh -c "
		openssl pkcs7 -inform DER -in '$tmp/sig' -print_certs -noout > '$tmp/subjects' &&
		grep -c '^subject' '$tmp/subjects' | grep -qx 3"
	fails "refuses a chain that does not start there" 1 \
		"gmcc: $tmp/stranger.crt: has no certificate of the issuer of $tmp/end.crt, in PEM form. Add it." \
		"$GMCC_SAN" sign --chain "$tmp/stranger.crt" --key "$tmp/end.key" --cert "$tmp/end.crt" \
		-o "$tmp/none.gm.ko" "$tmp/image.gm.ko"
	fails "refuses a chain that cannot be read" 1 "gmcc: $tmp/none: cannot be read: no such file." \
		"$GMCC_SAN" sign --chain "$tmp/none" --key "$tmp/end.key" --cert "$tmp/end.crt" \
		-o "$tmp/none.gm.ko" "$tmp/image.gm.ko"
	[ ! -e "$tmp/none.gm.ko" ] || not_ok "a chain that is refused leaves nothing behind"
	if command -v certtool > /dev/null; then
		verify "$tmp/good.crt" "$tmp/good.gm.ko" 2> /dev/null
		check "GnuTLS accepts it" certtool --p7-verify --inder --infile "$tmp/sig" \
			--load-data "$tmp/content" --load-certificate "$tmp/good.crt"
	else
		skip "GnuTLS accepts it" "no certtool"
	fi
	check "verify --keyring accepts it" "$GMCC_SAN" verify -q --keyring "$tmp/good.crt" "$tmp/good.gm.ko"
	fails "verify --keyring refuses another signer" 1 \
		"$tmp/good.gm.ko: signature: the signer is not in the keyring." \
		"$GMCC_SAN" verify -q --keyring "$tmp/stranger.crt" "$tmp/good.gm.ko"
	fails "verify --keyring refuses an unsigned image" 1 "$tmp/image.gm.ko: signature: not signed." \
		"$GMCC_SAN" verify -q --keyring "$tmp/good.crt" "$tmp/image.gm.ko"
	# In .comment or the like: what the analysis itself does not look at.
	python3 -c "
import sys
d = open(sys.argv[1], 'rb').read()
at = d.index(b'license=GPL')
open(sys.argv[2], 'wb').write(d[:at] + b'licence' + d[at + 7:])" "$tmp/good.gm.ko" "$tmp/changed.gm.ko"
	fails "verify --keyring refuses a changed image" 1 \
		"$tmp/changed.gm.ko: signature: the signature does not match the content (/CN=good)." \
		"$GMCC_SAN" verify -q --keyring "$tmp/good.crt" "$tmp/changed.gm.ko"
	mkdir -p "$tmp/ring"
	openssl x509 -in "$tmp/good.crt" -outform DER -out "$tmp/ring/good.der"
	cp "$tmp/stranger.crt" "$tmp/ring"
	check "a folder is a keyring" "$GMCC_SAN" verify -q --keyring "$tmp/ring" "$tmp/good.gm.ko"
	fails "a keyring without certificates" 1 \
		"gmcc: $tmp/good.key: no X.509 certificate, in PEM or DER form." \
		"$GMCC_SAN" verify -q --keyring "$tmp/good.key" "$tmp/good.gm.ko"
	make_dated old 20200101000000Z 20200102000000Z
	"$GMCC" sign --key "$tmp/old.key" --cert "$tmp/old.crt" -o "$tmp/old.gm.ko" "$tmp/image.gm.ko"
	fails "an expired certificate" 1 \
		"$tmp/old.gm.ko: signature: the signer's certificate has expired (/CN=old)." \
		"$GMCC_SAN" verify -q --keyring "$tmp/old.crt" "$tmp/old.gm.ko"
	make_dated new 20990101000000Z 20990102000000Z
	"$GMCC" sign --key "$tmp/new.key" --cert "$tmp/new.crt" -o "$tmp/new.gm.ko" "$tmp/image.gm.ko"
	fails "a certificate of the future" 1 \
		"$tmp/new.gm.ko: signature: the signer's certificate is not valid yet (/CN=new)." \
		"$GMCC_SAN" verify -q --keyring "$tmp/new.crt" "$tmp/new.gm.ko"
	openssl req -x509 -newkey rsa:2048 -nodes -keyout "$tmp/ca.key" -out "$tmp/ca.crt" -subj /CN=ca \
		-days 2 -addext keyUsage=critical,keyCertSign 2> /dev/null
	"$GMCC" sign --key "$tmp/ca.key" --cert "$tmp/ca.crt" -o "$tmp/ca.gm.ko" "$tmp/image.gm.ko"
	fails "a certificate that is not for signatures" 1 \
		"$tmp/ca.gm.ko: signature: the signer's certificate is not meant for signatures (/CN=ca)." \
		"$GMCC_SAN" verify -q --keyring "$tmp/ca.crt" "$tmp/ca.gm.ko"

	check "signs detached" "$GMCC_SAN" sign --detached --key "$tmp/good.key" --cert "$tmp/good.crt" \
		"$tmp/image.gm.ko"
	check "OpenSSL accepts the detached signature" openssl cms -verify -binary -inform DER \
		-in "$tmp/image.gm.ko.p7s" -content "$tmp/image.gm.ko" -certfile "$tmp/good.crt" \
		-nointern -noverify -out /dev/null
	check "verify --signature accepts it" "$GMCC_SAN" verify -q --keyring "$tmp/good.crt" \
		--signature "$tmp/image.gm.ko.p7s" "$tmp/image.gm.ko"
	fails "--signature without --keyring is wrong usage" 2 "" \
		"$GMCC_SAN" verify --signature "$tmp/image.gm.ko.p7s" "$tmp/image.gm.ko"
	fails "a detached signature that is none" 1 \
		"$tmp/image.gm.ko: signature: not one PKCS#7 signature in DER form." \
		"$GMCC_SAN" verify -q --keyring "$tmp/good.crt" --signature "$tmp/good.crt" "$tmp/image.gm.ko"
	{ cat "$tmp/image.gm.ko.p7s"; echo; } > "$tmp/longer.p7s"
	fails "a detached signature with more behind it" 1 \
		"$tmp/image.gm.ko: signature: not one PKCS#7 signature in DER form." \
		"$GMCC_SAN" verify -q --keyring "$tmp/good.crt" --signature "$tmp/longer.p7s" "$tmp/image.gm.ko"
	openssl cms -data_create -in "$tmp/image.gm.ko" -outform DER -out "$tmp/data.p7s"
	fails "a message that is no signature" 1 \
		"$tmp/image.gm.ko: signature: not one PKCS#7 signature in DER form." \
		"$GMCC_SAN" verify -q --keyring "$tmp/good.crt" --signature "$tmp/data.p7s" "$tmp/image.gm.ko"
	openssl cms -sign -binary -in "$tmp/image.gm.ko" -signer "$tmp/good.crt" -inkey "$tmp/good.key" \
		-signer "$tmp/curve.crt" -inkey "$tmp/curve.key" -outform DER -out "$tmp/both.p7s"
	fails "two signers" 1 "$tmp/image.gm.ko: signature: not exactly one signer." \
		"$GMCC_SAN" verify -q --keyring "$tmp/good.crt" --signature "$tmp/both.p7s" "$tmp/image.gm.ko"
	# The trailer: its kind is byte 2 of 12, its length the last 4, before a mark of 28 bytes.
	for place in 38 32; do
		python3 -c "
import sys
d = bytearray(open(sys.argv[1], 'rb').read())
d[-int(sys.argv[3])] = 0x7f
open(sys.argv[2], 'wb').write(d)" "$tmp/good.gm.ko" "$tmp/trailer.gm.ko" "$place"
		fails "a trailer that is none, at $place" 1 "$tmp/trailer.gm.ko: signature: not signed." \
			"$GMCC_SAN" verify -q --keyring "$tmp/good.crt" "$tmp/trailer.gm.ko"
	done
	openssl cms -sign -binary -in "$tmp/image.gm.ko" -signer "$tmp/curve.crt" -inkey "$tmp/curve.key" \
		-outform DER -out "$tmp/openssl.p7s"
	check "verify accepts what OpenSSL signs, attributes and all" "$GMCC_SAN" verify -q \
		--keyring "$tmp/curve.crt" --signature "$tmp/openssl.p7s" "$tmp/image.gm.ko"

	sign_file=$(find /usr/lib/linux-kbuild-*/scripts -name sign-file 2> /dev/null | sort -V | tail -n 1)
	if [ -n "$sign_file" ]; then
		check "the kernel's sign-file signs" "$sign_file" sha256 "$tmp/good.key" "$tmp/good.crt" \
			"$tmp/image.gm.ko" "$tmp/kernel.gm.ko"
		check "verify accepts that" "$GMCC_SAN" verify -q --keyring "$tmp/good.crt" "$tmp/kernel.gm.ko"
		check "and it is what gmcc makes, byte for byte" cmp "$tmp/kernel.gm.ko" "$tmp/good.gm.ko"
		"$sign_file" -s "$tmp/image.gm.ko.p7s" sha256 "$tmp/good.crt" "$tmp/image.gm.ko" "$tmp/kernel2.gm.ko"
		check "sign-file appends gmcc's detached signature" cmp "$tmp/kernel2.gm.ko" "$tmp/good.gm.ko"
	else
		skip "the kernel's sign-file" "no linux-kbuild package"
	fi

	p11=$(find /usr/lib/softhsm /usr/lib/*/softhsm -name libsofthsm2.so 2> /dev/null | head -n 1)
	if [ -n "$p11" ] && command -v softhsm2-util > /dev/null &&
		[ -n "$(find /usr/lib -path '*engines-3/pkcs11.so' -o -path '*ossl-modules/pkcs11.so')" ]; then
		mkdir -p "$tmp/tokens"
		echo "directories.tokendir = $tmp/tokens" > "$tmp/softhsm2.conf"
		export SOFTHSM2_CONF="$tmp/softhsm2.conf" PKCS11_MODULE_PATH="$p11"
		openssl pkcs8 -topk8 -nocrypt -in "$tmp/good.key" -out "$tmp/good.p8"
		softhsm2-util --init-token --free --label gm --pin 1234 --so-pin 5678 > /dev/null
		softhsm2-util --import "$tmp/good.p8" --token gm --label signer --id 01 --pin 1234 > /dev/null
		uri="pkcs11:token=gm;object=signer;type=private"
		check "signs with a key in a token" env KBUILD_SIGN_PIN=1234 "$GMCC" sign --key "$uri" \
			--cert "$tmp/good.crt" -o "$tmp/token.gm.ko" "$tmp/image.gm.ko"
		check "as with the key in a file" cmp "$tmp/token.gm.ko" "$tmp/good.gm.ko"
		check "with the PIN in the URI" "$GMCC" sign --key "$uri?pin-value=1234" \
			--cert "$tmp/good.crt" -o "$tmp/token.gm.ko" "$tmp/image.gm.ko"
		fails "but not with another PIN" 1 "" env KBUILD_SIGN_PIN=4321 "$GMCC" sign --key "$uri" \
			--cert "$tmp/good.crt" -o "$tmp/none.gm.ko" "$tmp/image.gm.ko"
		[ ! -e "$tmp/none.gm.ko" ] || not_ok "but not with another PIN: leaves nothing behind"
	else
		skip "signs with a key in a token" "no softhsm2 and libengine-pkcs11-openssl, or no pkcs11-provider"
	fi

	check "mkbad makes its images" env GMCC="$GMCC" "$here/mkbad" "$tmp/image.gm.ko" \
		"$tmp/good.key" "$tmp/good.crt" "$tmp/stranger.key" "$tmp/stranger.crt" "$tmp/badset"
	check "and lists every one of them, for each reason" sh -c "
		[ \$(wc -l < '$tmp/badset/index.tsv') -eq \$(ls '$tmp/badset' | grep -c '\.ko\$') ] &&
		[ \$(cut -f 2 '$tmp/badset/index.tsv' | sort -u | wc -l) -eq 7 ]"
else
	skip "signatures" "openssl cannot make keys"
fi
