// SPDX-License-Identifier: GPL-2.0
/*
 * Is a signature good? Judged as QEMU does when an image is registered: every
 * certificate of the keyring is trusted by itself, there are no chains; the
 * signer must be one of them, valid now, and meant for signatures.
 */
#include <dirent.h>
#include <errno.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>

#include "gmcc.h"
#include "sign.h"

static void add_file(STACK_OF(X509) *certs, const char *file)
{
	BIO *b = BIO_new_file(file, "r");
	int n = sk_X509_num(certs);
	X509 *x;

	if (!b)
		die_ssl(file, "cannot read the keyring");
	while ((x = PEM_read_bio_X509(b, NULL, NULL, NULL)))
		sk_X509_push(certs, x);
	if (sk_X509_num(certs) == n && BIO_reset(b) == 0) {
		x = d2i_X509_bio(b, NULL);
		if (x)
			sk_X509_push(certs, x);
	}
	ERR_clear_error();
	BIO_free(b);
	if (sk_X509_num(certs) == n)
		die(file, "no X.509 certificate, in PEM or DER form.");
}

static STACK_OF(X509) *load(const char *keyring)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	struct dirent *e;
	struct stat st;
	DIR *d;

	if (stat(keyring, &st))
		die(keyring, "%s.", strerror(errno));
	if (!S_ISDIR(st.st_mode)) {
		add_file(certs, keyring);
		return certs;
	}
	d = opendir(keyring);
	if (!d)
		die(keyring, "%s.", strerror(errno));
	while ((e = readdir(d))) {
		const char *file = xasprintf("%s/%s", keyring, e->d_name);

		if (e->d_name[0] != '.' && !stat(file, &st) && !S_ISDIR(st.st_mode))
			add_file(certs, file);
	}
	closedir(d);
	if (!sk_X509_num(certs))
		die(keyring, "holds no certificate.");
	return certs;
}

static const char *subject(const X509 *x)
{
	char *s = X509_NAME_oneline(X509_get_subject_name(x), NULL, 0);
	const char *ret = xasprintf("%s", s ? s : "?");

	OPENSSL_free(s);
	return ret;
}

static const char *not_usable(X509 *x)
{
	if (X509_cmp_current_time(X509_get0_notBefore(x)) > 0)
		return "the signer's certificate is not valid yet";
	if (X509_cmp_current_time(X509_get0_notAfter(x)) < 0)
		return "the signer's certificate has expired";
	if (!(X509_get_key_usage(x) & KU_DIGITAL_SIGNATURE))
		return "the signer's certificate is not meant for signatures";
	return NULL;
}

static const char *check(CMS_ContentInfo *cms, STACK_OF(X509) *certs, const uint8_t *data, size_t size,
			 const char **signer)
{
	const unsigned int flags = CMS_BINARY | CMS_DETACHED | CMS_NOINTERN | CMS_NO_SIGNER_CERT_VERIFY;
	STACK_OF(CMS_SignerInfo) *infos = CMS_get0_SignerInfos(cms);
	STACK_OF(X509) *one;
	X509 *found = NULL;
	const char *why;
	BIO *in;

	if (!infos || sk_CMS_SignerInfo_num(infos) != 1)
		return "not exactly one signer";
	for (int i = 0; !found && i < sk_X509_num(certs); i++)
		if (!CMS_SignerInfo_cert_cmp(sk_CMS_SignerInfo_value(infos, 0), sk_X509_value(certs, i)))
			found = sk_X509_value(certs, i);
	if (!found)
		return "the signer is not in the keyring";
	*signer = subject(found);
	why = not_usable(found);
	if (why)
		return why;
	one = sk_X509_new_null();
	sk_X509_push(one, found);
	in = BIO_new_mem_buf(data, (int)size);
	if (CMS_verify(cms, one, NULL, in, NULL, flags) != 1)
		why = "the signature does not match the content";
	BIO_free(in);
	sk_X509_free(one);
	ERR_clear_error();
	return why;
}

const char *keyring_check(const char *keyring, const uint8_t *data, size_t size,
			  const uint8_t *sig, size_t sig_size, const char **signer)
{
	STACK_OF(X509) *certs = load(keyring);
	const uint8_t *p = sig;
	CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &p, (long)sig_size);
	const char *why;

	*signer = NULL;
	if (!cms || p != sig + sig_size || OBJ_obj2nid(CMS_get0_type(cms)) != NID_pkcs7_signed)
		why = "not one PKCS#7 signature in DER form";
	else
		why = check(cms, certs, data, size, signer);
	ERR_clear_error();
	CMS_ContentInfo_free(cms);
	sk_X509_pop_free(certs, X509_free);
	return why;
}
