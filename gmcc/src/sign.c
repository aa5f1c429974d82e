// SPDX-License-Identifier: GPL-2.0
/*
 * gmcc sign: makes a PKCS#7 signature, and appends it in the kernel's own module
 * format, so that QEMU can verify it and the guest's loader can at least parse
 * it. The signature itself is what the kernel's sign-file makes, byte for byte.
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "gmcc.h"
#include "sign.h"

#define MARKER		"~Module signature appended~\n"
#define MARKER_LEN	(sizeof(MARKER) - 1)
#define ID_PKCS7	2

/* As in the kernel's include/linux/module_signature.h, which is not uapi. */
struct module_signature {
	uint8_t algo, hash, id_type, signer_len, key_id_len, pad[3];
	uint32_t sig_len;	/* big-endian */
};

_Static_assert(sizeof(struct module_signature) == 12, "kernel format");

static const char help[] =
"Usage: gmcc sign --key KEY --cert CERT.pem [--chain CERTS.pem] [--detached]\n"
"                 [-o OUT] IMAGE\n"
"\n"
"Signs a guarded image: PKCS#7 (CMS), SHA-256, DER, over the whole file. It is\n"
"appended as the kernel's sign-file does, or written to a file of its own.\n"
"\n"
"      --key KEY        the signer's private key: a PEM file, or a pkcs11: URI\n"
"      --cert CERT.pem  the signer's X.509 certificate\n"
"      --embed          put the certificate into the signature\n"
"      --chain CERTS.pem  put it there, and these: those who issued it, up to one\n"
"                       that the verifier trusts\n"
"      --detached       write the signature alone, to OUT or IMAGE.p7s\n"
"  -o, --output OUT     write OUT instead of changing IMAGE\n"
"  -h, --help           this text\n"
"\n"
"`gmcc verify --keyring CERTS' checks signatures. KBUILD_SIGN_PIN is the PIN of a\n"
"token or the password of a key.\n";

size_t signature_find(const uint8_t *data, size_t size, size_t *sig_size)
{
	struct module_signature ms;
	size_t n = size;

	*sig_size = 0;
	if (n < MARKER_LEN + sizeof(ms) || memcmp(data + n - MARKER_LEN, MARKER, MARKER_LEN))
		return size;
	n -= MARKER_LEN + sizeof(ms);
	memcpy(&ms, data + n, sizeof(ms));
	if (ms.id_type != ID_PKCS7 || !ms.sig_len || ntohl(ms.sig_len) > n)
		return size;
	*sig_size = ntohl(ms.sig_len);
	return n - *sig_size;
}

_Noreturn void die_ssl(const char *file, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	die(file, "%s: %s.", what, reason ? reason : "unknown reason");
}

static X509 *read_cert(const char *file)
{
	BIO *b = BIO_new_file(file, "r");
	X509 *cert = b ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;

	if (!cert)
		die_ssl(file, "no certificate in PEM form");
	BIO_free(b);
	return cert;
}

static bool has_cert(const STACK_OF(X509) *certs, const X509 *cert)
{
	for (int i = 0; i < sk_X509_num(certs); i++)
		if (!X509_cmp(sk_X509_value(certs, i), cert))
			return true;
	return false;
}

/* Those of @file, without @cert itself; somebody there must have issued it. */
static STACK_OF(X509) *read_chain(const char *file, const char *cert_file, X509 *cert)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	BIO *b = BIO_new_file(file, "r");
	bool issued = false;
	X509 *x;

	if (!b)
		die_ssl(file, "cannot be read");
	while ((x = PEM_read_bio_X509(b, NULL, NULL, NULL))) {
		if (!X509_cmp(x, cert) || has_cert(certs, x)) {
			X509_free(x);
			continue;
		}
		issued |= X509_check_issued(x, cert) == X509_V_OK;
		sk_X509_push(certs, x);
	}
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		die_ssl(file, "a certificate cannot be read");
	ERR_clear_error();
	BIO_free(b);
	if (!issued)
		die(file, "has no certificate of the issuer of %s, in PEM form. Add it.", cert_file);
	return certs;
}

/* The flags of the kernel's scripts/sign-file.c: no attributes; no chain unless asked for. */
static uint8_t *make_signature(const char *file, const uint8_t *data, size_t size, X509 *cert,
			       EVP_PKEY *key, bool embed, STACK_OF(X509) *chain, size_t *sig_size)
{
	unsigned int flags = CMS_BINARY | CMS_DETACHED | CMS_NOSMIMECAP | CMS_NOATTR;
	CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, NULL,
					flags | CMS_PARTIAL | CMS_STREAM);
	BIO *in = BIO_new_mem_buf(data, (int)size);
	uint8_t *der = NULL, *ret;
	int n;

	if (!cms || !in ||
	    !CMS_add1_signer(cms, cert, key, EVP_sha256(), flags | (embed ? 0 : CMS_NOCERTS)))
		die_ssl(file, "cannot sign");
	for (int i = 0; i < sk_X509_num(chain); i++)
		if (!CMS_add1_cert(cms, sk_X509_value(chain, i)))
			die_ssl(file, "cannot add the chain");
	if (CMS_final(cms, in, NULL, flags) != 1)
		die_ssl(file, "cannot sign");
	n = i2d_CMS_ContentInfo(cms, &der);
	if (n <= 0)
		die_ssl(file, "cannot encode the signature");
	ret = xmemdup(der, n);
	*sig_size = n;
	OPENSSL_free(der);
	BIO_free(in);
	CMS_ContentInfo_free(cms);
	return ret;
}

/* The image, its signature, and what tells the loader that one is there. */
static uint8_t *append(const uint8_t *data, size_t size, const uint8_t *sig, size_t sig_size,
		       size_t *signed_size)
{
	struct module_signature ms = { .id_type = ID_PKCS7, .sig_len = htonl(sig_size) };
	uint8_t *all = xalloc(size + sig_size + sizeof(ms) + MARKER_LEN);

	memcpy(all, data, size);
	memcpy(all + size, sig, sig_size);
	memcpy(all + size + sig_size, &ms, sizeof(ms));
	memcpy(all + size + sig_size + sizeof(ms), MARKER, MARKER_LEN);
	*signed_size = size + sig_size + sizeof(ms) + MARKER_LEN;
	return all;
}

struct sign_options {
	const char *in, *out, *key, *cert, *chain;
	bool embed, detached;
};

static uint8_t *detached(const char *file, const uint8_t *data, size_t size,
			 const struct sign_options *o, size_t *sig_size)
{
	X509 *cert = read_cert(o->cert);
	STACK_OF(X509) *chain = o->chain ? read_chain(o->chain, o->cert, cert) : NULL;
	EVP_PKEY *key = signkey_read(o->key);
	uint8_t *sig;
	size_t old;

	signature_find(data, size, &old);
	if (old)
		die(file, "signed already. Sign the image that `gmcc guard' wrote.");
	if (size > INT32_MAX)
		die(file, "too large to sign.");
	if (X509_check_private_key(cert, key) != 1)
		die(o->cert, "does not belong to the key %s. Give the pair.", o->key);
	sig = make_signature(file, data, size, cert, key, o->embed || chain, chain, sig_size);
	sk_X509_pop_free(chain, X509_free);
	X509_free(cert);
	EVP_PKEY_free(key);
	return sig;
}

static uint8_t *sign_with(const char *file, const uint8_t *data, size_t size,
			  const struct sign_options *o, size_t *signed_size)
{
	size_t sig_size;
	const uint8_t *sig = detached(file, data, size, o, &sig_size);

	return append(data, size, sig, sig_size, signed_size);
}

uint8_t *sign_bytes(const char *file, const uint8_t *data, size_t size, const char *key,
		    const char *cert, bool embed, size_t *signed_size)
{
	const struct sign_options o = { .key = key, .cert = cert, .embed = embed };

	return sign_with(file, data, size, &o, signed_size);
}

static void sign(const struct sign_options *o)
{
	size_t size, n;
	uint8_t *data = read_input(o->in, &size);

	if (o->detached) {
		data = detached(o->in, data, size, o, &n);
		write_output(o->out ? o->out : xasprintf("%s.p7s", o->in), data, n);
	} else {
		data = sign_with(o->in, data, size, o, &n);
		write_output(o->out ? o->out : o->in, data, n);
	}
}

int cmd_sign(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "key", required_argument, NULL, 'k' },
		{ "cert", required_argument, NULL, 'c' },
		{ "embed", no_argument, NULL, 'e' },
		{ "chain", required_argument, NULL, 'n' },
		{ "detached", no_argument, NULL, 'd' },
		{ "output", required_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct sign_options o = { 0 };
	int c;

	while ((c = getopt_long(argc, argv, "o:h", longs, NULL)) != -1) {
		switch (c) {
		case 'k':
			o.key = optarg;
			break;
		case 'c':
			o.cert = optarg;
			break;
		case 'e':
			o.embed = true;
			break;
		case 'n':
			o.chain = optarg;
			break;
		case 'd':
			o.detached = true;
			break;
		case 'o':
			o.out = optarg;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			return EXIT_USAGE;
		}
	}
	if (argc - optind != 1 || !o.key || !o.cert) {
		fputs(help, stderr);
		return EXIT_USAGE;
	}
	o.in = argv[optind];
	sign(&o);
	return 0;
}
